// `headwater chat` as a person uses it: at a terminal, which here is a pseudo-terminal.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/integration/cli_fixture.h"
#include "tests/integration/pseudo_terminal.h"

namespace headwater::test {
namespace {

using testing::HasSubstr;

class ChatTerminal : public Cli {
 protected:
  std::string history() const { return path("headwater/chat_history"); }
  std::string home() const { return std::filesystem::path(path("x")).parent_path(); }
  /// The command, with answers of three tokens.
  std::string chat(const std::string& more = "") const {
    return HEADWATER_BINARY " chat --threads 1 --temperature 0 --max-tokens 3 --model " + tiny_model() + " " + more;
  }
  /// With answers that never end by themselves: their text alone is more than a terminal holds.
  std::string long_winded_chat() const {
    TinyOptions options;
    options.context = 300000;
    write_tiny_llama(path("long.gguf"), options);
    return "exec " HEADWATER_BINARY " chat --threads 1 --temperature 0 --max-tokens 250000 --model " +
           path("long.gguf");
  }
};

constexpr const char* kNothing = "nothing was answered yet";
constexpr const char* kMarksPastes = "\x1B[?2004h";  // the first that is shown

TEST_F(ChatTerminal, TakesAPasteOfThreeLinesAsOneMessage) {
  PseudoTerminal terminal(chat(), home());
  EXPECT_THAT(terminal.until("> "), HasSubstr("/help"));
  terminal.type("\x1B[200~one\ntwo\nthree\n\x1B[201~");
  terminal.until("three");
  terminal.type("\r/stats\r");
  EXPECT_THAT(terminal.until(" generated\r\n"), HasSubstr("all 1: "));
  terminal.type("\x04");
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, TakesLinesLongerThanATerminalHolds) {
  PseudoTerminal terminal(chat(), home());
  terminal.until("> ");
  std::string line(6000, 'x');  // more than the tiny model's context, too
  line += '\r';
  terminal.type(line);
  terminal.until("headwater: ");
  terminal.type("/stats\r");
  terminal.until(kNothing);
  terminal.type("\x04");
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, KeepsWhatIsTypedWhileItLoadsTheModel) {
  PseudoTerminal terminal(chat(), home());
  terminal.until(kMarksPastes);
  const std::string instructions(6000, 'y');
  terminal.type("/system " + instructions + "\r/system\r\x04");
  terminal.until("\r\n" + instructions + "\r\n");
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, StopsAnAnswerAtCtrlCAndKeepsWhatWasTypedMeanwhile) {
  PseudoTerminal terminal(long_winded_chat(), home());
  terminal.until("> ");
  terminal.type("hi\r");
  terminal.until("\r\n");
  terminal.more(100);  // the answer
  const std::string instructions(6000, 'y');
  terminal.type("/system " + instructions + "\r/system\r/stats\r\x04\x03");
  terminal.until("\r\n" + instructions + "\r\n");
  EXPECT_THAT(terminal.until(" generated\r\n"), HasSubstr("all 1: "));
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, LeavesTheTerminalAsItWas) {
  for (const char* last : {"/exit\r", "\x03", "\x1C"}) {
    PseudoTerminal terminal("trap : INT QUIT; ulimit -c 0; " + chat() + "; echo left; stty -a", home());
    terminal.until("> ");
    terminal.type(last);
    EXPECT_THAT(terminal.until("left\r\n"), HasSubstr("\x1B[?2004l"));
    const std::string mode = terminal.until("echoke");
    EXPECT_THAT(mode, HasSubstr(" icanon "));
    EXPECT_THAT(mode, HasSubstr(" echo "));
    EXPECT_THAT(mode, HasSubstr(" icrnl "));
    ASSERT_EQ(terminal.end(), 0);
  }
}

TEST_F(ChatTerminal, CanBeStoppedAndGoesOn) {
  PseudoTerminal terminal("set -m; " + chat() + "; echo stopped; stty -a; fg", home());
  terminal.until("> ");
  terminal.type("/sta\x1A");
  terminal.until("stopped\r\n");
  EXPECT_THAT(terminal.until("echoke"), HasSubstr(" icanon "));
  terminal.until("> /sta");
  terminal.type("ts\r");
  terminal.until(kNothing);
  terminal.type("\x04");
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, LetsALineBeEditedAndGoOn) {
  PseudoTerminal terminal(chat(), home());
  terminal.until("> ");
  terminal.type("tats\x01/s\r");  // to the beginning of the line
  terminal.until(kNothing);
  terminal.type("/system be\\\r");
  terminal.until(". ");
  terminal.type("brief\r/system\r");
  terminal.until("be\r\nbrief\r\n");
  terminal.type("\xC3\xA4\x7F\xFF/stats\r");  // a letter of two bytes, taken back; a byte that is none
  terminal.until(kNothing);
  terminal.type("\x04");
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, KeepsAHistoryForItsOwnerAlone) {
  {
    PseudoTerminal terminal(chat(), home());
    terminal.until("> ");
    terminal.type("/stats\r\x04");
    terminal.until(kNothing);
    EXPECT_EQ(terminal.end(), 0);
  }
  struct stat kept {};
  ASSERT_EQ(stat(history().c_str(), &kept), 0);
  EXPECT_EQ(kept.st_mode & 0777U, 0600U);
  PseudoTerminal terminal(chat(), home());
  terminal.until("> ");
  terminal.type("\x1B[A\r");  // the line before
  terminal.until(kNothing);
  terminal.type("\x04");
  EXPECT_EQ(terminal.end(), 0);
}

TEST_F(ChatTerminal, TellsOfItsCommandsAndOfThoseThatItHasNot) {
  PseudoTerminal terminal(chat("--system brief"), home());
  terminal.until("> ");
  terminal.type("/help\r");
  const std::string help = terminal.until("goes on in the next");
  for (const char* command : {"/system", "/reset", "/stats", "/exit"}) EXPECT_THAT(help, HasSubstr(command));
  terminal.type("/rest\r");
  terminal.until("unknown command /rest");
  terminal.type("/exit\r");
  EXPECT_EQ(terminal.end(), 0);
}

}  // namespace
}  // namespace headwater::test
