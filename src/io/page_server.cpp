#include "io/page_server.h"

#include <fmt/core.h>
#include <httplib.h>

#include <thread>

#include "base/task_thread.h"

namespace baleen::io {
namespace {

constexpr size_t kThreads = 2;
constexpr auto kSlowest = std::chrono::seconds(5);
constexpr size_t kLargestRequest = 8 << 10;

}  // namespace

struct PageServer::Server {
  httplib::Server http;
  std::thread thread;
};

PageServer::PageServer() : server_(std::make_unique<Server>()) {}

PageServer::~PageServer() {
  if (!server_->thread.joinable()) return;
  server_->http.stop();
  server_->thread.join();
}

Result<std::unique_ptr<PageServer>> PageServer::listen(const std::string& address, std::vector<Page> pages) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon != std::string::npos) {
    const std::string digits = address.substr(colon + 1);
    if (!digits.empty() && digits.size() <= 5 && digits.find_first_not_of("0123456789") == std::string::npos)
      port = std::stoi(digits);
  }
  if (port < 0 || port > 65535)
    return Error{Code::kInvalid, fmt::format("'{}' is no address to listen at, as 127.0.0.1:49100 or :49100", address)};
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty()) host = "0.0.0.0";

  std::unique_ptr<PageServer> server(new PageServer);
  httplib::Server& http = server->server_->http;
  http.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  http.set_payload_max_length(kLargestRequest);
  http.set_read_timeout(kSlowest);
  http.set_write_timeout(kSlowest);
  http.set_keep_alive_timeout(2);
  for (const Page& page : pages)
    http.Get(page.path, [page](const httplib::Request&, httplib::Response& response) {
      response.set_content(page.content(), page.content_type);
    });
  // One address, one listener: two processes at one port would each get a part of the requests.
  http.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  });
  const bool bound = port == 0 ? (port = http.bind_to_any_port(host)) > 0 : http.bind_to_port(host, port);
  if (!bound) return errno_error("listening at " + address, errno);
  server->port_ = port;
  server->server_->thread = std::thread([s = server->server_.get()] {
    name_this_thread("bl-pages");
    s->http.listen_after_bind();
  });
  // A stop before it runs would be forgotten.
  while (!http.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return server;
}

}  // namespace baleen::io
