#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store/object_store.h"

// For tests: real object stores, started and ended by them.

namespace baleen::store {

/// A server of test/emulators that runs as long as this object does.
class Emulator {
 public:
  /// Null with the reason in `absent` when Node.js or its packages are not installed.
  static std::unique_ptr<Emulator> start(const std::string& script, const std::vector<std::string>& arguments,
                                         std::string* absent);
  ~Emulator();
  Emulator(const Emulator&) = delete;
  Emulator& operator=(const Emulator&) = delete;

  /// What it said of itself when it was ready: "endpoint", keys.
  const std::string& value(const std::string& name) const { return values_.at(name); }
  /// Tells it something; see the server's own file.
  void control(const std::string& json) const;
  /// Its account of what it saw, as JSON text.
  std::string report() const;
  /// How often requests that contain `text` came, by that account.
  size_t requests(const std::string& text) const;

 private:
  Emulator() = default;
  pid_t pid_ = -1;
  int input_ = -1;  // it ends when this is closed
  std::map<std::string, std::string> values_;
};

/// A variable of the environment, for a test's length.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value);  // empty: unset
  ~ScopedVariable();
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  std::string name_;
  std::optional<std::string> before_;
};

/// A folder that goes away with the test.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  /// Writes a file there and gives its path.
  std::string file(const std::string& name, std::string_view content) const;

 private:
  std::string folder_;
};

/// Bytes that look like nothing, the same for the same seed.
std::string noise(size_t size, uint32_t seed);

}  // namespace baleen::store
