#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace baleen::index {

/// Appends structs to a text in Thrift's compact protocol (thrift-compact-protocol.md), as Parquet's metadata are.
class ThriftWriter {
 public:
  explicit ThriftWriter(std::string& out) : out_(out) {}

  void begin() { last_.push_back(0); }
  void end() {
    out_ += '\0';
    last_.pop_back();
  }
  void boolean(int field, bool value) { head(field, value ? 1 : 2); }
  void i16(int field, int64_t value) { number(field, 4, value); }
  void i32(int field, int64_t value) { number(field, 5, value); }
  void i64(int field, int64_t value) { number(field, 6, value); }
  void binary(int field, std::string_view value) {
    head(field, 8);
    text(value);
  }
  void begin_struct(int field) {
    head(field, 12);
    begin();
  }
  void empty_struct(int field) {
    begin_struct(field);
    end();
  }
  /// Elements follow: i32() and text() without a field, or begin() and end() of structs.
  enum class Of : uint8_t { kI32 = 5, kBinary = 8, kStruct = 12 };
  void list(int field, Of of, size_t size) {
    head(field, 9);
    const auto type = static_cast<uint8_t>(of);
    out_ += static_cast<char>((size < 15 ? size << 4 : 0xF0) | type);
    if (size >= 15) varint(size);
  }
  void i32(int64_t value) { varint(zigzag(value)); }
  void text(std::string_view value) {
    varint(value.size());
    out_ += value;
  }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) out_ += static_cast<char>(value | 0x80);
    out_ += static_cast<char>(value);
  }
  static uint64_t zigzag(int64_t value) {
    return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
  }

 private:
  void head(int field, int type) {
    const int step = field - last_.back();
    if (step > 0 && step < 16) {
      out_ += static_cast<char>(step << 4 | type);
    } else {
      out_ += static_cast<char>(type);
      varint(zigzag(field));
    }
    last_.back() = field;
  }
  void number(int field, int type, int64_t value) {
    head(field, type);
    varint(zigzag(value));
  }
  std::string& out_;
  std::vector<int> last_;  // field of each struct that is open
};

}  // namespace baleen::index
