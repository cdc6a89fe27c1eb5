#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "store/object_store.h"

namespace baleen::cmd {

/// A folder under the system's temporary one, made when it is first asked for and removed with its owner.
class TemporaryFolder {
 public:
  TemporaryFolder() = default;
  TemporaryFolder(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  Result<std::string> path();

 private:
  std::string path_;
};

/// A store for reading at a location, with retries and the environment's credentials. `prefix` is what keys there begin
/// with.
struct OpenedStore {
  std::unique_ptr<store::ObjectStore> store;
  std::string prefix;
};
Result<OpenedStore> open_location(const std::string& url);

/// A path that capture files can be read from: `url` itself when it is local, else a folder with copies of the captures
/// there.
Result<std::string> local_captures(const std::string& url, TemporaryFolder& folder);

}  // namespace baleen::cmd
