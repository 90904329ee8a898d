#include "model/pretokenizer_rules.h"

namespace headwater::model {
namespace {

// Sources: openai/gpt-2 encoder.py; the tokenizer.json files of the families; the names are those of
// ggml-org/llama.cpp, src/llama-vocab.cpp. No stage may look at more than a few characters from places where it finds
// nothing, or a text that is made for it takes quadratic time.

// White space as Unicode lists it. PCRE2's \s takes U+180E as well, which has not been white space since Unicode 6.3.
#define SPACES R"(\x09-\x0D\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})"
#define SPACE "[" SPACES "]"
#define LAST_SPACES SPACE "+(?![^" SPACES "])"
// The last space of several belongs to the next word.
#define SPACES_LEFT LAST_SPACES "|" SPACE "+"
#define LINE_ENDS SPACE R"(*[\r\n]+)"
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SIGNS "[^" SPACES R"(\p{L}\p{N}]+)"

#define GPT2 R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?)" SIGNS "|" SPACES_LEFT
#define LLAMA3(digits) \
  CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|)" digits "| ?" SIGNS R"([\r\n]*|)" LINE_ENDS "|" SPACES_LEFT

// Words begin anew with each capital: "camelCase" is two.
#define UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define BEFORE_WORD R"([^\r\n\p{L}\p{N}]?)"
#define CAPITALS(ending, digits)                                                                           \
  BEFORE_WORD UPPER "*" LOWER "+" ending "|" BEFORE_WORD UPPER "+" LOWER "*" ending "|" digits "| ?" SIGNS \
                    R"([\r\n/]*|)" LINE_ENDS "|" SPACES_LEFT

constexpr const char* kDigit = R"(\p{N})";
constexpr const char* kDigits = R"(\p{N}+)";
constexpr const char* kThreeDigits = R"(\p{N}{1,3})";
constexpr const char* kLineEnd = R"([\r\n])";
constexpr const char* kGpt2 = GPT2;
constexpr const char* kLlama3 = LLAMA3(R"(\p{N}{1,3})");
constexpr const char* kQwen2 = LLAMA3(R"(\p{N})");
constexpr const char* kQwen35 = CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^)" SPACES
                                             R"(\p{L}\p{M}\p{N}]+[\r\n]*|)" LINE_ENDS "|" SPACES_LEFT;
constexpr const char* kSeedCoder =
    CONTRACTIONS R"(|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?)" SIGNS "|" LINE_ENDS "|" SPACES_LEFT;
constexpr const char* kTekken = CAPITALS("", R"(\p{N})");
constexpr const char* kGpt4o = CAPITALS(CONTRACTIONS "?", R"(\p{N}{1,3})");

constexpr const char* kCjk = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr const char* kDeepseek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|)" LINE_ENDS
    "|" SPACES_LEFT;
constexpr const char* kDeepseekWord = SPACE R"(?\p{L}+)";
constexpr const char* kDeepseekSign = SPACE R"(?\p{P}+)";
constexpr const char* kDeepseekCjk = R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";

// Letters that have cases, as that family lists them.
constexpr const char* kDeepseekCased = SPACE
    "?["
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF})"
    R"(\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1})"
    R"(\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"
    R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A})"
    R"(\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B})"
    R"(\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC})"
    R"(\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107})"
    R"(\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139})"
    R"(\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787})"
    R"(\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A})"
    R"(\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2})"
    R"(\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    "]+";
constexpr const char* kDeepseekAnySign =
    SPACE R"(?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
constexpr const char* kSpacesAtEnd = "(?<!" SPACE ")" SPACE "++\\z";

constexpr const char* kDefaultSign = R"([\p{P}$+<=>^~|]+)";
constexpr const char* kThreeAsciiDigits = "[0-9][0-9][0-9]";
constexpr const char* kBloom = " ?[^(" SPACES R"(|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{0964}\x{06D4}\x{060C})]+)";

}  // namespace

std::span<const PretokenizerRules> pretokenizer_rules() {
  static const std::vector<PretokenizerRules> list = {
      {{"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"},
       {kLlama3},
       true,
       true},
      {{"dbrx", "smaug-bpe", "chatglm-bpe", "glm4"}, {kLlama3}},
      {{"qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "solar-open", "grok-2", "kormo"}, {kQwen2}},
      {{"qwen35"}, {kQwen35}},
      {{"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"}, {kDigit, kGpt2}},
      {{"gpt-2", "gpt2", "phi-2", "olmo", "mpt", "jais", "trillion", "exaone4", "gigachat", "a.x-4.0", "mellum",
        "granite-docling"},
       {kGpt2}},
      {{"tekken"}, {kTekken}, true, true},
      {{"gpt-4o", "o200k", "llama4", "kanana2", "minimax-m2"}, {kGpt4o}},
      {{"deepseek-v3", "hunyuan-dense", "joyai-llm"}, {kThreeDigits, kCjk, kDeepseek3}},
      {{"deepseek-llm"}, {kLineEnd, kDeepseekCased, kDeepseekAnySign, kSpacesAtEnd, kDeepseekCjk, kDigits}},
      {{"deepseek-coder"}, {kLineEnd, kDeepseekWord, kDeepseekSign, kDeepseekCjk, kDigit}},
      {{"seed-coder"}, {kSeedCoder}},
      {{"bloom", "poro-chat", "gpt3-finnish"}, {kBloom}},
      {{"viking"}, {kBloom, kDigit}},
      {{"default"}, {kDefaultSign, kGpt2, kDigits, kThreeAsciiDigits}},
  };
  return list;
}

}  // namespace headwater::model
