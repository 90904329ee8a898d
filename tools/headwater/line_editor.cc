#include "tools/headwater/line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace headwater::tools {
namespace {

constexpr int kKeptLines = 1000;
/// Terminals put this before and after what is pasted, once they are told to.
constexpr const char* kMarkPastes = "\x1B[?2004h";
constexpr const char* kMarkPastesNoMore = "\x1B[?2004l";
constexpr std::wstring_view kPasteEnd = L"\x1B[201~";

void tell_terminal(const char* text) {
  std::fputs(text, stdout);
  std::fflush(stdout);
}

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

/// The prompt depends on whether a line goes on.
char* prompt_of(EditLine* editor) {
  static char first[] = "> ", further[] = ". ";
  void* goes_on = nullptr;
  el_get(editor, EL_CLIENTDATA, &goes_on);
  return goes_on != nullptr && *static_cast<bool*>(goes_on) ? further : first;
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
  std::string history_file;
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event{};
  bool goes_on = false;

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
  el_set(editor, EL_CLIENTDATA, &state_->goes_on);
  el_set(editor, EL_PROMPT, prompt_of);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_SIGNAL, 1);  // the terminal is as it was when Ctrl-C ends the program
  el_set(editor, EL_HIST, ::history, state_->history);
  el_set(editor, EL_ADDFN, "headwater-paste", "Take what is pasted", on_paste);
  el_set(editor, EL_BIND, "\\e[200~", "headwater-paste", nullptr);
  el_set(editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
}

LineEditor::~LineEditor() {
  el_end(state_->editor);
  history_end(state_->history);
}

std::optional<std::string> LineEditor::read() {
  std::string text;
  state_->goes_on = false;
  for (;;) {
    tell_terminal(kMarkPastes);
    int size = 0;
    const char* line = el_gets(state_->editor, &size);
    tell_terminal(kMarkPastesNoMore);
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
