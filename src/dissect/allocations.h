#pragma once

// Counts calls of malloc and its relatives, those of C libraries included. To be included by one file of a program
// only: it defines them. Under sanitizers, which have allocators of their own, nothing is counted.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BALEEN_COUNTS_ALLOCATIONS 0
#elif defined(__GLIBC__)
#define BALEEN_COUNTS_ALLOCATIONS 1
#else
#define BALEEN_COUNTS_ALLOCATIONS 0
#endif

namespace baleen {
inline constinit thread_local uint64_t allocations = 0;  // of this thread, since it began
}

#if BALEEN_COUNTS_ALLOCATIONS
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) noexcept {
  ++baleen::allocations;
  return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) noexcept {
  ++baleen::allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* block, size_t size) noexcept {
  ++baleen::allocations;
  return __libc_realloc(block, size);
}
void* aligned_alloc(size_t align, size_t size) noexcept {
  ++baleen::allocations;
  return __libc_memalign(align, size);
}
}
#endif
