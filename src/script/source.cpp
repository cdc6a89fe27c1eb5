#include "script/source.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace baleen::script {
namespace {

constexpr std::string_view kBlank = " \t\r\n\f\v";

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

Result<std::string> read_file(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat facts;
  if (!file || ::fstat(file.get(), &facts) != 0) return errno_error("open " + path, errno);
  if (!S_ISREG(facts.st_mode)) return Error{Code::kInvalid, path + " is not a file"};
  std::string text;
  char buffer[65536];
  while (text.size() <= ScriptFiles::kMaxBytes) {
    const ssize_t n = ::read(file.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read " + path, errno);
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
  return Error{Code::kInvalid, path + " is larger than 4 MB"};
}

bool is_script(std::string_view name) { return name.size() > 3 && name.ends_with(".js") && name[0] != '.'; }

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

std::string script_title(std::string_view text, std::string_view name) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  std::string_view title;
  if (text.starts_with("//")) {
    title = trim(text.substr(0, text.find('\n')));
    title.remove_prefix(std::min(title.find_first_not_of('/'), title.size()));
  } else if (text.starts_with("/*")) {
    std::string_view body = text.substr(2, text.find("*/", 2) == std::string_view::npos ? 0 : text.find("*/", 2) - 2);
    while (!body.empty() && title.empty()) {
      const size_t end = std::min(body.find('\n'), body.size());
      title = trim(body.substr(0, end));
      while (title.starts_with('*')) title = trim(title.substr(1));
      body.remove_prefix(std::min(end + 1, body.size()));
    }
  }
  title = trim(title).substr(0, 200);
  return std::string(title.empty() ? name : title);
}

ScriptFiles::ScriptFiles(std::string folder, std::vector<std::string> files)
    : folder_(std::move(folder)), files_(std::move(files)) {}

std::vector<ScriptSource> ScriptFiles::read(std::vector<std::string>& problems) const {
  std::vector<std::string> paths;
  if (!folder_.empty()) {
    if (DIR* list = ::opendir(folder_.c_str())) {
      while (const dirent* entry = ::readdir(list))
        if (is_script(entry->d_name)) paths.push_back(folder_ + "/" + entry->d_name);
      ::closedir(list);
    } else {
      problems.push_back(errno_error("scripts folder " + folder_, errno).message);
    }
  }
  std::sort(paths.begin(), paths.end());
  for (const std::string& file : files_) {
    if (is_script(file_name(file)))
      paths.push_back(file);
    else
      problems.push_back(file + " does not end in .js");
  }
  std::vector<ScriptSource> out;
  for (const std::string& path : paths) {
    if (out.size() == kMaxFiles) {
      problems.push_back("more than " + std::to_string(kMaxFiles) + " scripts; the rest is left out");
      break;
    }
    auto text = read_file(path);
    if (!text) {
      problems.push_back(text.error().message);
      continue;
    }
    ScriptSource source{path, file_name(path), {}, *std::move(text)};
    source.title = script_title(source.text, source.name);
    out.push_back(std::move(source));
  }
  return out;
}

Result<> ScriptFiles::watch() {
  inotify_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify_) return errno_error("inotify", errno);
  std::vector<std::string> folders;
  if (!folder_.empty()) folders.push_back(folder_);
  for (const std::string& file : files_) {
    const size_t slash = file.rfind('/');
    folders.push_back(slash == std::string::npos ? "." : file.substr(0, std::max<size_t>(slash, 1)));
  }
  for (const std::string& folder : folders)
    if (::inotify_add_watch(inotify_.get(), folder.c_str(),
                            IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE) < 0)
      return errno_error("watch " + folder, errno);
  return {};
}

bool ScriptFiles::take_changes() {
  bool changed = false;
  alignas(inotify_event) char buffer[16384];
  while (inotify_ && ::read(inotify_.get(), buffer, sizeof buffer) > 0) changed = true;
  return changed;
}

}  // namespace baleen::script
