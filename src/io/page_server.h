#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace baleen::io {

/// Serves pages of text over plain HTTP, for monitors: GET and HEAD only, a few clients at a time, nothing is received.
class PageServer {
 public:
  struct Page {
    std::string path;                      // "/metrics"
    std::string content_type;              // "text/plain; version=0.0.4"
    std::function<std::string()> content;  // called on a thread of the server, for each request
  };
  /// Listens at "127.0.0.1:49100", "[::1]:49100", ":49100" (all addresses); port 0: any that is free.
  static Result<std::unique_ptr<PageServer>> listen(const std::string& address, std::vector<Page> pages);
  ~PageServer();
  int port() const { return port_; }

 private:
  struct Server;
  PageServer();
  std::unique_ptr<Server> server_;
  int port_ = 0;
};

}  // namespace baleen::io
