#pragma once

#include "dissect/build.h"
#include "item/value.h"

namespace baleen::dissect::thrift {

/// Where a walk over a structure stands.
class Steps {
 public:
  enum class Got : uint8_t { kEnd, kMore, kBad };
  size_t size() const { return at_; }
  void reset() { depth_ = 0, at_ = 0; }

 protected:
  struct Level {
    uint8_t kind = 0;    // a structure, or what a container holds
    uint8_t second = 0;  // of a map: its values
    bool is_container = false, is_map = false;
    uint32_t left = 0;  // elements of a container that are still to come
    /// Of a container: the type of the next element. REQUIRES: one is left.
    uint8_t next_type() const { return is_map && left % 2 == 1 ? second : kind; }
  };
  static constexpr int kMaxDepth = 16;
  static constexpr uint32_t kMostElements = 1 << 24, kMostBytes = 64 << 20;  // of a container, of a text

  Level levels_[kMaxDepth] = {};
  int depth_ = 0;
  size_t at_ = 0;
};

/// Finds the end of a structure that says its length nowhere. Goes on where it stopped when more bytes are there, so
/// that each byte is looked at once.
class Walk : public Steps {
 public:
  /// `bytes` begin where the structure begins (behind `head` bytes); kEnd: size() is its end. Starts anew after that.
  Got go(Bytes bytes, size_t head);

 private:
  bool enter(uint8_t type, Bytes b, bool& more);
};

/// The same for the compact protocol.
class CompactWalk : public Steps {
 public:
  Got go(Bytes bytes, size_t head);

 private:
  Got field(Bytes bytes);
  Got enter(uint8_t type, bool in_container, Bytes bytes);
};

/// A structure as a map of field numbers; the bytes live as long as the arena.
item::Value read_struct(ByteReader& reader, Arena& arena, int depth = 0);
item::Value read_compact_struct(ByteReader& reader, Arena& arena, int depth = 0);

/// An unsigned number of seven bits a byte, of at most 64 bits; fails the reader.
uint64_t read_varint(ByteReader& reader);

}  // namespace baleen::dissect::thrift
