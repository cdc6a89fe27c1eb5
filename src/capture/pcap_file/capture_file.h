#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "capture/pcap_file/input_file.h"
#include "codec/pcap/reader.h"
#include "net/read_ahead.h"

namespace baleen::capture {

/// What a file tells besides packets, in the order of the file. Called from within next_batch().
struct FileEvents {
  /// Secrets to decrypt with (pcapng Decryption Secrets Block); `type` kTlsKeyLog: lines of an NSS key log.
  std::function<void(uint32_t type, Bytes secrets)> on_secrets;
  /// What an address is called (pcapng Name Resolution Block).
  std::function<void(const codec::pcap::Name& name)> on_name;
};

/// One capture file read record by record through a window of bounded size: onto the system's own pages of it, or,
/// where that cannot be, into a buffer.
class CaptureFile {
 public:
  enum class State { kRecords, kLater, kEnd };

  /// `buffer_bytes` is what is read at once; one block that is larger makes the window grow, up to the reader's limit.
  static Result<CaptureFile> open(const std::string& path, bool follow, size_t buffer_bytes, const FileEvents* events);

  /// Reads on. kRecords: records() are new, and views of earlier ones are void. kLater: see InputFile::wait().
  Result<State> advance();
  std::span<const codec::pcap::PacketRecord> records() const { return std::span(records_).first(filled_); }

  /// What follows in memory; null where the file is read into a buffer.
  net::ReadAhead* read_ahead() { return mapping_ ? &ahead_ : nullptr; }
  InputFile& input() { return input_; }
  const codec::pcap::Reader& reader() const { return reader_; }
  const std::string& path() const { return path_; }
  /// The file ended inside a packet, or inside what it was compressed into.
  bool cut() const { return reader_.counters().cut_packets != 0 || input_.cut(); }

 private:
  CaptureFile(InputFile input, std::string path, size_t buffer_bytes, const FileEvents* events);
  Bytes window() const;
  Result<bool> fill(size_t need);
  Result<> look_further(size_t need);
  void leave_mapping();

  InputFile input_;
  std::string path_;
  const FileEvents* events_;
  codec::pcap::Reader reader_;
  std::vector<codec::pcap::PacketRecord> records_;
  size_t filled_ = 0;
  FileMapping mapping_;                // the window is in it as long as it is there,
  std::unique_ptr<uint8_t[]> buffer_;  // and else here
  size_t capacity_, begin_ = 0, end_ = 0;
  size_t fetched_ = 0;    // of the mapping
  net::ReadAhead ahead_;  // in what is fetched
};

}  // namespace baleen::capture
