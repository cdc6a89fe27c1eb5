#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define BALEEN_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BALEEN_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef BALEEN_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace baleen {

/// Nobody may look at these bytes of ours until unpoison(): the address sanitizer tells who does. Nothing in builds
/// without it.
inline void poison([[maybe_unused]] const void* at, [[maybe_unused]] size_t bytes) {
#ifdef BALEEN_ADDRESS_SANITIZER
  __asan_poison_memory_region(at, bytes);
#endif
}
inline void unpoison([[maybe_unused]] const void* at, [[maybe_unused]] size_t bytes) {
#ifdef BALEEN_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(at, bytes);
#endif
}

}  // namespace baleen
