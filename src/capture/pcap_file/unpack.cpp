#include "capture/pcap_file/unpack.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/unique_fd.h"
#include "capture/pcap_file/input_file.h"
#include "codec/tar/tar.h"

namespace baleen::capture {
namespace {

namespace fs = std::filesystem;
using codec::TarReader;

constexpr size_t kWindow = 256 << 10;

/// The last name of a path that somebody else has made up: it never leads out of a folder.
std::string last_name(std::string_view path) {
  path.remove_prefix(path.rfind('/') + 1);  // npos + 1 is 0
  std::string name(path.substr(0, 200));
  std::erase(name, '\0');
  return name.empty() || name == "." || name == ".." ? "file" : name;
}

Result<> write_all(int fd, Bytes bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(path, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace

bool Unpacked::is_archive(const std::string& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;
  auto file = InputFile::open(path, false);
  if (!file) return false;
  uint8_t first[TarReader::kRecord];
  size_t have = 0;
  while (have < sizeof first) {
    const auto got = file->read(std::span(first).subspan(have));
    if (!got || *got == 0) return false;
    have += *got;
  }
  return TarReader::is_tar(first);
}

Result<std::string> Unpacked::add(const std::string& archive, std::optional<Error>& damage) {
  BALEEN_TRY(const std::string own, folder_.path());
  const std::string folder = fmt::format("{}/{:06}", own, archives_++);
  std::error_code failed;
  if (!fs::create_directory(folder, failed)) return Error{Code::kIo, fmt::format("{}: {}", folder, failed.message())};
  BALEEN_TRY_DO(unpack(archive, folder, damage));
  return folder;
}

Result<> Unpacked::unpack(const std::string& archive, const std::string& folder, std::optional<Error>& damage) {
  BALEEN_TRY(InputFile input, InputFile::open(archive, false));
  TarReader reader;
  std::vector<uint8_t> window(kWindow);
  size_t begin = 0, end = 0;
  UniqueFd file;
  std::string path;
  for (;;) {
    const auto step = reader.read(Bytes(window).subspan(begin, end - begin));
    begin += step.consumed;
    switch (step.kind) {
      case TarReader::Kind::kEntry: {
        if (++files_ > kMostFiles)
          return Error{Code::kInvalid, fmt::format("{} has more than {} files", archive, kMostFiles)};
        const std::string own = fmt::format("{}/{:06}", folder, files_);
        if (::mkdir(own.c_str(), 0700) != 0) return errno_error(own, errno);
        path = fmt::format("{}/{}", own, last_name(reader.entry().name));
        file.reset(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
        if (!file) return errno_error(path, errno);
        continue;
      }
      case TarReader::Kind::kData:
        bytes_ += step.data.size();
        if (bytes_ > kMostBytes)
          return Error{Code::kInvalid, fmt::format("{} unpacks to more than {} bytes", archive, kMostBytes)};
        BALEEN_TRY_DO(write_all(file.get(), step.data, path));
        if (step.last) file.reset();
        continue;
      case TarReader::Kind::kEnd: return {};
      case TarReader::Kind::kFailed: damage = Error(reader.error()).in(archive); return {};
      case TarReader::Kind::kNeed: break;
    }
    if (end - begin >= step.need && step.consumed != 0) continue;
    std::memmove(window.data(), window.data() + begin, end - begin);
    end -= begin;
    begin = 0;
    auto got = input.read(std::span(window).subspan(end));
    if (!got || *got == 0) {
      damage = got ? Error{Code::kInvalid, archive + ": the archive ends too early"} : Error(got.error()).in(archive);
      // Some writers leave out the empty records at the end.
      if (got && end == 0 && !file) damage.reset();
      return {};
    }
    end += *got;
  }
}

}  // namespace baleen::capture
