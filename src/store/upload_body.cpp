#include "store/upload_body.h"

#include <algorithm>

#include "base/crc32c.h"

namespace baleen::store {

void UploadBody::attach(io::HttpRequest& request, uint64_t offset, uint64_t length) const {
  if (source != nullptr) {
    request.body_source = source;
    request.body_offset = offset;
    request.body_length = length;
  } else {
    request.body = bytes.subspan(offset, length);
  }
}

Result<io::PartDigests> UploadBody::digests(uint64_t offset, uint64_t length, io::Digests wanted) const {
  if (source != nullptr) return io::digest_part(*source, offset, length, wanted);
  const Bytes part = bytes.subspan(offset, length);
  io::PartDigests out;
  if (wanted.sha256) out.sha256 = io::sha256(part);
  if (wanted.md5) out.md5 = io::md5(part);
  if (wanted.crc32c) out.crc32c = baleen::crc32c(part);
  return out;
}

Result<io::PartDigests> DigestsAhead::digest(uint64_t offset, io::Digests wanted) const {
  return body_->digests(offset, std::min(part_bytes_, body_->size - offset), wanted);
}

Result<io::PartDigests> DigestsAhead::of(uint64_t offset, io::Digests wanted) {
  const bool ready = ahead_.valid() && next_ == offset && next_wanted_.has(wanted);
  auto out = ready ? ahead_.get() : digest(offset, wanted);
  next_ = offset + part_bytes_;
  next_wanted_ = wanted;
  // Without a thread to spare the library leaves the work to get().
  if (out && next_ < body_->size)
    ahead_ = std::async(std::launch::async | std::launch::deferred,
                        [this, next = next_, wanted] { return digest(next, wanted); });
  return out;
}

Result<UploadBody> body_of(const io::ByteSource& source, std::optional<uint32_t> crc32c) {
  UploadBody body{{}, &source, source.size(), 0};
  if (!crc32c) {
    BALEEN_TRY(crc32c, sum_of(source));
  }
  body.crc32c = *crc32c;
  return body;
}

uint64_t choose_part(uint64_t size, uint64_t wanted, uint64_t usual, uint64_t least, uint64_t most_parts) {
  constexpr uint64_t kUnit = 1 << 20;
  const uint64_t needed = (size + most_parts - 1) / most_parts;
  const uint64_t most = std::max({wanted == 0 ? usual : wanted, least, needed});
  // All alike: a last one that is small costs a request, too, and no part is ready while a large one is digested.
  const uint64_t count = std::max<uint64_t>(1, (size + most - 1) / most);
  const uint64_t part = std::max(least, (size + count - 1) / count);
  return (part + kUnit - 1) / kUnit * kUnit;
}

}  // namespace baleen::store
