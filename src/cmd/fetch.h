#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/temporary_folder.h"
#include "index/encryption.h"
#include "store/object_store.h"
#include "worker/config.h"

namespace CLI {
class App;
}

namespace baleen::cmd {

/// Where credentials for a bucket come from beside the environment: the configuration, as `tap` reads it. A file that
/// nobody named and that is wrong is said so, and not used.
class Access {
 public:
  /// --config and --set of a command.
  void add_to(CLI::App& command);
  /// Of a command that has read its configuration already.
  void use(const worker::Config& config) { config_ = config; }
  Result<std::unique_ptr<store::ObjectStore>> open(const store::Location& location);
  /// The configuration itself.
  Result<worker::Config> config();

 private:
  Result<> load();
  worker::ConfigRequest request_;
  std::optional<worker::Config> config_;
};

/// A store for reading at a location, with retries. `prefix` is what keys there begin with.
struct OpenedStore {
  std::unique_ptr<store::ObjectStore> store;
  std::string prefix;
};
Result<OpenedStore> open_location(const std::string& url, Access& access,
                                  std::shared_ptr<const index::KeyRing> keys = nullptr);

/// A path that capture files can be read from: `url` itself when it is local, else a folder with copies of the captures
/// there.
Result<std::string> local_captures(const std::string& url, Access& access, TemporaryFolder& folder);

}  // namespace baleen::cmd
