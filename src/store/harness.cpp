#include "store/harness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "io/http_client.h"
#include "store/json.h"

namespace baleen::store {
namespace {

namespace fs = std::filesystem;

bool is_program(const std::string& name) {
  std::string path = std::getenv("PATH") != nullptr ? std::getenv("PATH") : "";
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    if (::access((path.substr(at, end - at) + "/" + name).c_str(), X_OK) == 0) return true;
    at = end + 1;
  }
  return false;
}

}  // namespace

std::unique_ptr<Emulator> Emulator::start(const std::string& script, const std::vector<std::string>& arguments,
                                          std::string* absent) {
  const std::string folder = std::string(BALEEN_SOURCE_DIR) + "/test/emulators";
  if (!is_program("node") || !fs::is_directory(folder + "/node_modules")) {
    *absent = "needs node and test/emulators/node_modules (tools/setup.sh --test)";
    return nullptr;
  }
  int input[2], output[2];
  if (::pipe2(input, O_CLOEXEC) != 0 || ::pipe2(output, O_CLOEXEC) != 0) return *absent = "no pipes", nullptr;
  std::vector<std::string> command{"node", folder + "/" + script};
  command.insert(command.end(), arguments.begin(), arguments.end());
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(input[0], 0);
    ::dup2(output[1], 1);
    ::execvp("node", words.data());
    ::_exit(127);
  }
  ::close(input[0]);
  ::close(output[1]);
  std::unique_ptr<Emulator> out(new Emulator);
  out->pid_ = pid;
  out->input_ = input[1];
  std::string line;
  for (char c = 0; ::read(output[0], &c, 1) == 1 && c != '\n';) line += c;
  ::close(output[0]);
  const auto json = line.starts_with("ready ") ? parse_json(line.substr(6)) : std::nullopt;
  if (!json) return *absent = script + " did not start: " + line, nullptr;
  for (const auto& [name, value] : json->items())
    if (value.is_string()) out->values_[name] = value.get<std::string>();
  return out;
}

Emulator::~Emulator() {
  ::close(input_);
  for (int i = 0; i < 200; ++i) {
    if (::waitpid(pid_, nullptr, WNOHANG) != 0) return;
    ::usleep(10'000);
  }
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Emulator::control(const std::string& json) const {
  io::HttpClient http;
  const auto answer = http.send({.method = "POST", .url = value("endpoint") + "/__control", .body = as_bytes(json)});
  BALEEN_CHECK(answer.has_value() && answer->ok());
}

std::string Emulator::report() const {
  io::HttpClient http;
  const auto answer = http.send({.url = value("endpoint") + "/__control"});
  BALEEN_CHECK(answer.has_value() && answer->ok());
  return answer->body;
}

size_t Emulator::requests(const std::string& text) const {
  const auto json = parse_json(report());
  size_t count = 0;
  for (const auto& line : (*json)["requests"]) count += line.get<std::string>().find(text) != std::string::npos;
  return count;
}

ScopedVariable::ScopedVariable(const char* name, const std::string& value) : name_(name) {
  if (const char* old = std::getenv(name)) before_ = old;
  if (value.empty()) {
    ::unsetenv(name);
  } else {
    ::setenv(name, value.c_str(), 1);
  }
}

ScopedVariable::~ScopedVariable() {
  if (before_) {
    ::setenv(name_.c_str(), before_->c_str(), 1);
  } else {
    ::unsetenv(name_.c_str());
  }
}

ScratchFolder::ScratchFolder() {
  std::string pattern = (fs::temp_directory_path() / "baleen-store-XXXXXX").string();
  BALEEN_CHECK(::mkdtemp(pattern.data()) != nullptr);
  folder_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::string ScratchFolder::file(const std::string& name, std::string_view content) const {
  std::ofstream(path(name), std::ios::binary) << content;
  return path(name);
}

std::string noise(size_t size, uint32_t seed) {
  std::string out(size, '\0');
  uint64_t state = seed * 2654435761ULL + 1;
  for (char& c : out) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    c = static_cast<char>(state >> 56);
  }
  return out;
}

}  // namespace baleen::store
