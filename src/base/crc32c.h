#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace baleen {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, continued from `crc` (0 to begin). With SSE 4.2
/// and PCLMUL where the processor has them. Google Cloud Storage and S3 check uploads with it.
uint32_t crc32c(Bytes bytes, uint32_t crc = 0);

/// That of what two pieces are together, out of those of both and the size of the second.
uint32_t crc32c_of_both(uint32_t first, uint32_t second, uint64_t second_size);

}  // namespace baleen
