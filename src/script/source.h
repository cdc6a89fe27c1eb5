#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace baleen::script {

/// A script file as it lies on disk.
struct ScriptSource {
  std::string path, name;  // name: the file's, "forensics_gcs.js"
  std::string title;       // first line of the leading comment, else the name (reference row S-07)
  std::string text;
};

/// The title that a script's text gives it; `name` when it begins with no comment.
std::string script_title(std::string_view text, std::string_view name);

/// The `*.js` files of folders and single files, by name; what cannot be read is said in `problems`.
class ScriptFiles {
 public:
  ScriptFiles(std::string folder, std::vector<std::string> files);

  std::vector<ScriptSource> read(std::vector<std::string>& problems) const;
  /// Starts to watch for changes. The descriptor becomes readable when something may have changed.
  Result<> watch();
  int descriptor() const { return inotify_.get(); }
  /// Forgets what the descriptor has said; true when a script may have changed.
  bool take_changes();

  static constexpr size_t kMaxBytes = size_t{4} << 20;
  static constexpr size_t kMaxFiles = 256;

 private:
  std::string folder_;
  std::vector<std::string> files_;
  UniqueFd inotify_;
};

}  // namespace baleen::script
