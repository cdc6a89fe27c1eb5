#pragma once

#include <memory>
#include <string>

#include "capture/packet_source.h"
#include "capture/pcap_file/capture_file.h"

namespace baleen::capture {

struct PcapFileOptions {
  /// A file, a folder of files (with its sub-folders), or "-" for standard input.
  std::string path;
  /// The file is still being written: its end is a reason to wait, until stop(). Not for folders.
  bool follow = false;
  FileEvents events;
};

/// Reads captures: pcap and pcapng, also compressed with gzip or zstd, whatever their names.
///
/// Of a folder every capture is read, in the order of the packets' times: files are opened when their first packet's
/// time has come and merged while they overlap; within a file the order is the file's. A file that is damaged gives
/// what comes before the damage; then a single file is an Error, while of a folder the rest is read, and problems()
/// tells.
class PcapFileSource : public PacketSource {
 public:
  /// Errors: kNotFound, kDenied, kIo of the path; kInvalid for a folder without a capture, or a folder to follow.
  static Result<std::unique_ptr<PcapFileSource>> open(PcapFileOptions options);

  /// What went wrong so far: files of a folder that cannot be read, or are no captures though their names say so, and
  /// captures that end inside a packet.
  virtual const std::vector<Error>& problems() const = 0;
};

}  // namespace baleen::capture
