#pragma once

#include <cstdint>
#include <future>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "io/byte_source.h"
#include "io/crypto.h"
#include "io/http_client.h"
#include "store/object_store.h"

namespace baleen::store {

/// What an upload sends: bytes in memory, or of a source. Borrows both.
struct UploadBody {
  Bytes bytes;
  const io::ByteSource* source = nullptr;
  uint64_t size = 0;
  uint32_t crc32c = 0;

  /// Gives a part of it to a request.
  void attach(io::HttpRequest& request, uint64_t offset, uint64_t length) const;
  /// Reads a part once for its digests.
  Result<io::PartDigests> digests(uint64_t offset, uint64_t length, io::Digests wanted) const;
};

/// Digests of the parts of an upload in their order: while a part is on its way, another thread reads the next one for
/// them. Borrows the body. One thread.
class DigestsAhead {
 public:
  DigestsAhead(const UploadBody& body, uint64_t part_bytes) : body_(&body), part_bytes_(part_bytes) {}
  /// Those of the part that begins at `offset`, a multiple of the parts' size. The next one will be read for the same.
  Result<io::PartDigests> of(uint64_t offset, io::Digests wanted);

 private:
  Result<io::PartDigests> digest(uint64_t offset, io::Digests wanted) const;

  const UploadBody* body_;
  uint64_t part_bytes_;
  io::Digests next_wanted_;
  uint64_t next_ = 0;                             // where the part of `ahead_` begins
  std::future<Result<io::PartDigests>> ahead_{};  // its destructor waits
};

/// All of a source. A sum that is said is taken for granted, and the source is not read for it: who sends it has to
/// look at that.
Result<UploadBody> body_of(const io::ByteSource& source, std::optional<uint32_t> crc32c);

/// Bytes of a part: at most `wanted`, or `usual` when that is zero, at least `least`, and so many that the parts are at
/// most `most_parts`; whole MiB, and nearly the same for all parts.
uint64_t choose_part(uint64_t size, uint64_t wanted, uint64_t usual, uint64_t least, uint64_t most_parts);

}  // namespace baleen::store
