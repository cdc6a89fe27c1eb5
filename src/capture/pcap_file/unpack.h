#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/temporary_folder.h"

namespace baleen::capture {

/// Archives' files as files of a temporary folder, which goes with its owner.
class Unpacked {
 public:
  static constexpr uint64_t kMostFiles = 100'000;
  static constexpr uint64_t kMostBytes = uint64_t{256} << 30;  // a compressed archive may claim anything

  /// Whether the content of a regular file, decompressed, is a tar archive.
  static bool is_archive(const std::string& path);
  /// The folder that has the regular files of an archive now, each in a folder of its own below its last name. An
  /// archive that is cut or damaged gives what comes before; `damage` then says so.
  Result<std::string> add(const std::string& archive, std::optional<Error>& damage);

 private:
  Result<> unpack(const std::string& archive, const std::string& folder, std::optional<Error>& damage);
  TemporaryFolder folder_;
  uint64_t archives_ = 0, files_ = 0, bytes_ = 0;
};

}  // namespace baleen::capture
