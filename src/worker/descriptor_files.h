#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "dissect/grpc/descriptors.h"

namespace baleen::worker {

/// Reads files of protobuf descriptors (FileDescriptorSet, as protoc --include_imports --descriptor_set_out=FILE writes
/// them), which together describe the messages of gRPC. They may be replaced while we run.
class DescriptorFiles {
 public:
  /// `descriptors` outlives it.
  explicit DescriptorFiles(dissect::grpc::Descriptors& descriptors) : descriptors_(descriptors) {}

  /// Reads these from now on, in place of others. When one cannot be read, the types stay as they were.
  Result<> use(const std::vector<std::string>& paths);
  /// Reads them again if one has changed since the last call; says whether it did. The error of a change is told once.
  Result<bool> refresh();

 private:
  struct Mark {
    uint64_t inode = 0;
    int64_t seconds = 0, nanoseconds = 0;
    uint64_t size = 0;
    bool operator==(const Mark&) const = default;
  };
  static Mark mark_of(const std::string& path);
  Result<> read();

  dissect::grpc::Descriptors& descriptors_;
  std::vector<std::string> paths_;
  std::vector<Mark> marks_;
};

}  // namespace baleen::worker
