#include "tools/headwater/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "tools/headwater/terminal_input.h"

namespace headwater::tools {
namespace {

constexpr int kKeptLines = 1000;
// What mbrtowc() says.
constexpr auto kInvalid = static_cast<std::size_t>(-1), kIncomplete = static_cast<std::size_t>(-2);
constexpr std::wstring_view kPasteEnd = L"\x1B[201~";  ///< a terminal puts it behind what is pasted

/// Takes what is pasted as it stands, line ends and all.
unsigned char on_paste(EditLine* editor, int) {
  std::wstring pasted;
  wchar_t c = 0;
  while (!pasted.ends_with(kPasteEnd)) {
    if (el_wgetc(editor, &c) != 1) return CC_EOF;
    if (pasted.size() < kMaxLineBytes) {
      pasted += c == L'\r' ? L'\n' : c;
    } else {  // enough is enough; only its end is looked for
      pasted.erase(pasted.size() - kPasteEnd.size(), 1);
      pasted += c;
    }
  }
  pasted.resize(pasted.size() - kPasteEnd.size());
  while (!pasted.empty() && pasted.back() == L'\n') pasted.pop_back();  // Enter is the person's to press
  if (!pasted.empty() && el_winsertstr(editor, pasted.c_str()) != 0) return CC_ERROR;
  return CC_REFRESH;
}

}  // namespace

std::string chat_history_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state != nullptr && *state == '/') {
    folder = state;
  } else if (home != nullptr && *home == '/') {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    return "";
  }
  return folder / "headwater" / "chat_history";
}

struct LineEditor::State {
  TerminalInput input;  // first: the terminal's own mode is what comes before the editor's
  std::string history_file;
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event{};
  bool goes_on = false;

  static State& of(EditLine* editor) {
    void* state = nullptr;
    el_get(editor, EL_CLIENTDATA, &state);
    return *static_cast<State*>(state);
  }

  /// The prompt depends on whether a line goes on.
  static char* prompt(EditLine* editor) {
    static char first[] = "> ", further[] = ". ";
    return of(editor).goes_on ? further : first;
  }

  /// The next character. Bytes that are none are left out.
  static int next_character(EditLine* editor, wchar_t* character) {
    const auto redraw = [editor] {
      el_resize(editor);
      el_set(editor, EL_REFRESH);
    };
    std::mbstate_t partial{};
    for (;;) {
      const auto byte = of(editor).input.next(redraw);
      if (!byte) return 0;
      const bool begins = std::mbsinit(&partial) != 0;
      std::size_t size = std::mbrtowc(character, &*byte, 1, &partial);
      if (size == kInvalid) partial = {};
      if (size == kInvalid && !begins) size = std::mbrtowc(character, &*byte, 1, &partial);  // begins the next one
      if (size == kInvalid) partial = {};
      if (size != kInvalid && size != kIncomplete) return 1;
    }
  }

  /// Neither a prompt nor an answer has the terminal put lines together, which would cut them at 4 KiB, or take
  /// Ctrl-D for itself. Nothing that was typed ahead is thrown away, also not by Ctrl-C.
  void keep_all_that_is_typed() {
    el_set(editor, EL_SETTY, "-d", "+noflsh", nullptr);
    el_set(editor, EL_SETTY, "-x", "-icanon", "-echo", "-echok", "-iexten", "-icrnl", "+inlcr", "+noflsh", nullptr);
    input.hold();
  }

  /// Writes the history, for its owner alone. What cannot be written is not kept.
  void save() {
    if (history_file.empty()) return;
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(history_file).parent_path(), ignored);
    const int file =
        open(history_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (file < 0) return;
    fchmod(file, S_IRUSR | S_IWUSR);
    if (FILE* out = fdopen(file, "w")) {
      ::history(history, &event, H_SAVE_FP, out);
      std::fclose(out);
    } else {
      close(file);
    }
  }
};

LineEditor::LineEditor(std::string history_file) : state_(std::make_unique<State>()) {
  // Letters are letters also where the locale was not set.
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
  state_->history_file = std::move(history_file);
  state_->history = history_init();
  ::history(state_->history, &state_->event, H_SETSIZE, kKeptLines);
  ::history(state_->history, &state_->event, H_SETUNIQUE, 1);
  if (!state_->history_file.empty()) {
    ::history(state_->history, &state_->event, H_LOAD, state_->history_file.c_str());
  }
  EditLine* editor = state_->editor = el_init("headwater", stdin, stdout, stderr);
  el_set(editor, EL_CLIENTDATA, state_.get());
  el_set(editor, EL_PROMPT, State::prompt);
  el_set(editor, EL_GETCFN, State::next_character);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_HIST, ::history, state_->history);
  el_set(editor, EL_ADDFN, "headwater-paste", "Take what is pasted", on_paste);
  el_set(editor, EL_BIND, "\\e[200~", "headwater-paste", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  state_->keep_all_that_is_typed();
}

LineEditor::~LineEditor() {
  el_set(state_->editor, EL_EDITMODE, 0);  // else it throws away what was typed for whoever comes next
  el_end(state_->editor);
  history_end(state_->history);
}

void LineEditor::gather() { state_->input.gather(); }

std::optional<std::string> LineEditor::read() {
  std::string text;
  state_->goes_on = false;
  for (;;) {
    int size = 0;
    const char* line = el_gets(state_->editor, &size);
    if (line == nullptr || size <= 0) {
      if (text.empty()) return std::nullopt;
      break;
    }
    text.append(line, static_cast<std::size_t>(size));
    if (!text.empty() && text.back() == '\n') text.pop_back();
    state_->goes_on = !text.empty() && text.back() == '\\' && text.size() < kMaxLineBytes;
    if (!state_->goes_on) break;
    text.back() = '\n';
  }
  if (text.find_first_not_of(" \t\n") != std::string::npos) {
    ::history(state_->history, &state_->event, H_ENTER, text.c_str());
    state_->save();
  }
  return text;
}

}  // namespace headwater::tools
