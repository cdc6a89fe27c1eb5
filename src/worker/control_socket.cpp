#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <list>

#include "base/task_thread.h"
#include "worker/control.h"

namespace baleen::worker {
namespace {

constexpr const char* kName = "control.sock";
constexpr timeval kSlowest{10, 0};

/// An address may have 107 characters, and a data folder more: the folder's descriptor stands for it.
sockaddr_un address_in(int folder) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder) + "/" + kName;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

UniqueFd open_folder(const std::string& folder) {
  return UniqueFd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

bool send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

struct Client {
  UniqueFd fd;
  std::string received;
};

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::open(const std::string& folder,
                                                           std::function<std::string(std::string_view)> answer,
                                                           std::function<bool(std::string_view, UniqueFd&)> take) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (::chmod(folder.c_str(), 0700) != 0) return errno_error(folder, errno);
  const UniqueFd parent = open_folder(folder);
  if (!parent) return errno_error(folder, errno);
  std::unique_ptr<ControlSocket> socket(new ControlSocket);
  socket->path_ = folder + "/" + kName;
  socket->answer_ = std::move(answer);
  socket->take_ = std::move(take);
  socket->wake_.reset(::eventfd(0, EFD_CLOEXEC));
  socket->listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket->wake_ || !socket->listener_) return errno_error(socket->path_, errno);
  ::unlink(socket->path_.c_str());
  const sockaddr_un address = address_in(parent.get());
  if (::bind(socket->listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(socket->path_.c_str(), 0600) != 0 || ::listen(socket->listener_.get(), 16) != 0)
    return errno_error(socket->path_, errno);
  socket->thread_ = std::thread([s = socket.get()] { s->run(); });
  return socket;
}

ControlSocket::~ControlSocket() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  const uint64_t one = 1;
  while (::write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
  ::unlink(path_.c_str());
}

/// Clients are served by turns; one that is slow in sending holds up nobody, one that reads slowly is dropped.
void ControlSocket::run() {
  name_this_thread("bl-control");
  std::list<Client> clients;
  while (!stopping_) {
    std::vector<pollfd> wanted = {{wake_.get(), POLLIN, 0}};
    for (const Client& client : clients) wanted.push_back({client.fd.get(), POLLIN, 0});
    if (clients.size() < kMostClients) wanted.push_back({listener_.get(), POLLIN, 0});
    if (::poll(wanted.data(), wanted.size(), -1) < 0) continue;
    size_t i = 1;
    for (auto client = clients.begin(); client != clients.end(); ++i) {
      bool good = true;
      if (wanted[i].revents != 0) {
        char buffer[16 << 10];
        const ssize_t n = ::recv(client->fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
        good = n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
        if (n > 0) client->received.append(buffer, static_cast<size_t>(n));
        for (size_t end = client->received.find('\n'); good && end != std::string::npos;
             end = client->received.find('\n')) {
          const std::string_view line = std::string_view(client->received).substr(0, end);
          good = !(take_ && take_(line, client->fd)) && send_all(client->fd.get(), answer_(line) + "\n");
          client->received.erase(0, end + 1);
        }
        good = good && client->received.size() <= kLongestLine;
      }
      client = good ? std::next(client) : clients.erase(client);
    }
    if (i >= wanted.size() || wanted[i].revents == 0) continue;
    if (UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)); fd) {
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kSlowest, sizeof kSlowest);
      clients.push_back({std::move(fd), {}});
    }
  }
}

Result<UniqueFd> connect_worker(const std::string& folder) {
  const std::string path = folder + "/" + kName;
  const UniqueFd parent = open_folder(folder);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return errno_error(path, errno);
  const sockaddr_un address = address_in(parent.get());
  if (!parent || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (!parent || errno == ENOENT || errno == ECONNREFUSED)
      return Error{Code::kNotFound, "no worker listens at " + path};
    return errno_error(path, errno);
  }
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kSlowest, sizeof kSlowest);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kSlowest, sizeof kSlowest);
  return fd;
}

Result<std::string> ask_connection(int connection, const std::string& folder, std::string_view request,
                                   std::string* rest) {
  const std::string path = folder + "/" + kName;
  if (!send_all(connection, std::string(request) + "\n")) return errno_error(path, errno);
  std::string answer;
  char buffer[16 << 10];
  while (answer.find('\n') == std::string::npos) {
    const ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{Code::kTimeout, "the worker at " + path + " does not answer"};
    if (n == 0) return Error{Code::kIo, "the worker at " + path + " has ended"};
    answer.append(buffer, static_cast<size_t>(n));
  }
  const size_t end = answer.find('\n');
  if (rest != nullptr) *rest = answer.substr(end + 1);
  answer.resize(end);
  return answer;
}

Result<std::string> ask_worker(const std::string& folder, std::string_view request) {
  BALEEN_TRY(const UniqueFd connection, connect_worker(folder));
  return ask_connection(connection.get(), folder, request, nullptr);
}

}  // namespace baleen::worker
