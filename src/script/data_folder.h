#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace baleen::script {

/// The folder in which scripts may work, and nothing outside of it.
///
/// Paths are relative to it or absolute within it. ".." is resolved in the text and may not leave; symbolic links are
/// never followed, neither in the middle nor at the end: each component is opened without following, below the one
/// before, so nothing that changes meanwhile leads outside. One thread.
class DataFolder {
 public:
  /// Makes the folder when it is missing.
  static Result<DataFolder> open(const std::string& path);

  const std::string& path() const { return path_; }
  /// The path relative to the folder, "" for the folder itself; an error when it lies outside.
  Result<std::string> relative(std::string_view path) const;
  /// The absolute path of a file or folder that is there and was reached through no link.
  Result<std::string> existing(std::string_view path) const;
  bool exists(std::string_view path) const;

  /// Creates or truncates, or appends.
  Result<> write(std::string_view path, std::string_view content, bool append) const;
  Result<> copy(std::string_view from, std::string_view to) const;
  /// Renames; into a folder that exists under the old name.
  Result<> move(std::string_view from, std::string_view to) const;
  /// With everything below; what is not there is gone already. Never the data folder itself.
  Result<> remove(std::string_view path) const;
  /// With parents; a folder that is there is fine.
  Result<> make_folder(std::string_view path) const;
  /// A new empty folder or file of an unused name; returns its path relative to the data folder.
  Result<std::string> make_temporary_folder(std::string_view name, std::string_view in) const;
  Result<std::string> make_temporary_file(std::string_view name, std::string_view in, std::string_view extension) const;
  /// `stem` + `ending`, or with "_1", "_2", ... between when that is taken or was given out for the same stem just
  /// before: what is deleted here may live on in a bucket. Reserved by an empty file.
  Result<std::string> reserve(const std::string& stem, std::string_view ending) const;
  /// A gzipped POSIX tar of a folder; returns the archive's path relative to the data folder.
  Result<std::string> archive(std::string_view folder, int64_t unix_seconds) const;

  /// Writing stops when the disk has less than this left.
  static constexpr uint64_t kMinFreeBytes = uint64_t{64} << 20;

 private:
  struct Place {
    UniqueFd parent;
    std::string name;
  };
  Result<Place> place(std::string_view path, bool make_parents = false) const;
  Result<> enough_room() const;

  std::string path_;
  UniqueFd root_;
  mutable std::string last_reserved_;  // stem and ending
  mutable int next_number_ = 0;
};

}  // namespace baleen::script
