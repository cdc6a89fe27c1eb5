#include "index/parquet_footer.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"

// Only the few fields that a reader of ranges needs are understood; everything else is stepped over. Row groups are
// copied byte for byte into a shortened footer, so nothing that a later version of the format adds to them is lost.

namespace baleen::index {
namespace {

constexpr uint8_t kTrue = 1, kFalse = 2, kByte = 3, kI16 = 4, kI32 = 5, kI64 = 6, kDouble = 7, kBinary = 8, kList = 9,
                  kSet = 10, kMap = 11, kStruct = 12;

/// Thrift's compact protocol, read with a sticky ok().
class Thrift {
 public:
  explicit Thrift(std::string_view text) : text_(text) {}
  bool ok() const { return ok_; }
  size_t at() const { return at_; }

  uint8_t byte() {
    if (at_ >= text_.size()) return fail();
    return static_cast<uint8_t>(text_[at_++]);
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && ok_; shift += 7) {
      const uint8_t b = byte();
      value |= static_cast<uint64_t>(b & 0x7f) << shift;
      if ((b & 0x80) == 0) return value;
    }
    return fail();
  }
  int64_t number() {
    const uint64_t n = varint();
    return static_cast<int64_t>(n >> 1) ^ -static_cast<int64_t>(n & 1);
  }
  std::string_view binary() {
    const uint64_t n = varint();
    if (!ok_ || n > text_.size() - at_) return fail(), std::string_view();
    at_ += n;
    return text_.substr(at_ - n, n);
  }
  /// Every field of a struct: `field(id, type)` says whether it has read the value; else it is stepped over.
  template <class Field>
  void structure(Field field) {
    if (++depth_ > kMaxDepth) fail();
    int64_t id = 0;
    while (ok_) {
      const uint8_t head = byte();
      if (head == 0) break;
      id = (head >> 4) != 0 ? id + (head >> 4) : number();
      if (ok_ && !field(id, static_cast<uint8_t>(head & 0x0f))) skip(head & 0x0f);
    }
    --depth_;
  }
  /// The number of elements and calls `element(type)` for each, which must read it.
  template <class Element>
  void list(Element element) {
    const uint8_t head = byte();
    const uint64_t n = (head >> 4) == 15 ? varint() : head >> 4;
    for (uint64_t i = 0; i < n && ok_; ++i) element(static_cast<uint8_t>(head & 0x0f));
  }

 private:
  static constexpr int kMaxDepth = 24;
  uint8_t fail() {
    ok_ = false;
    return 0;
  }
  void element(uint8_t type) {
    if (type == kTrue || type == kFalse) {
      byte();  // within a list a boolean takes a byte
    } else {
      skip(type);
    }
  }
  void skip(uint8_t type) {
    if (++depth_ > kMaxDepth) fail();
    switch (type) {
      case kTrue:
      case kFalse: break;
      case kByte: byte(); break;
      case kI16:
      case kI32:
      case kI64: varint(); break;
      case kDouble:
        if (text_.size() - at_ < 8) fail();
        if (ok_) at_ += 8;
        break;
      case kBinary: binary(); break;
      case kList:
      case kSet: list([this](uint8_t of) { element(of); }); break;
      case kMap: {
        const uint64_t n = varint();
        const uint8_t types = n != 0 ? byte() : 0;
        for (uint64_t i = 0; i < n && ok_; ++i) {
          element(types >> 4);
          element(types & 0x0f);
        }
        break;
      }
      case kStruct: structure([](int64_t, uint8_t) { return false; }); break;
      default: fail();
    }
    --depth_;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool ok_ = true;
};

void read_statistics(Thrift& t, ColumnChunk& column) {
  t.structure([&](int64_t id, uint8_t type) {
    if (type != kBinary || (id != 5 && id != 6)) return false;  // max_value, min_value
    (id == 5 ? column.highest : column.lowest) = t.binary();
    return true;
  });
}

void read_column_metadata(Thrift& t, ColumnChunk& column) {
  uint64_t data = 0, dictionary = 0;
  const auto number = [&](uint64_t& out) {
    out = static_cast<uint64_t>(std::max<int64_t>(t.number(), 0));
    return true;
  };
  t.structure([&](int64_t id, uint8_t type) {
    if (id == 3 && type == kList) {
      t.list([&](uint8_t) {
        if (!column.name.empty()) column.name += '.';
        column.name += t.binary();
      });
      return true;
    }
    if (id == 12 && type == kStruct) return read_statistics(t, column), true;
    if (type != kI64 && type != kI32) return false;
    switch (id) {
      case 7: return number(column.bytes.length);
      case 9: return number(data);
      case 11: return number(dictionary);
      case 14: return number(column.bloom.offset);
      case 15: return number(column.bloom.length);
      default: return false;
    }
  });
  column.bytes.offset = dictionary != 0 ? std::min(dictionary, data) : data;
}

void read_row_group(Thrift& t, RowGroup& group) {
  group.begin = t.at();
  t.structure([&](int64_t id, uint8_t type) {
    if (id == 1 && type == kList) {
      t.list([&](uint8_t) {
        ColumnChunk column;
        t.structure([&](int64_t inner, uint8_t inner_type) {
          if (inner != 3 || inner_type != kStruct) return false;
          read_column_metadata(t, column);
          return true;
        });
        group.columns.push_back(std::move(column));
      });
      return true;
    }
    if (id != 3 || type != kI64) return false;
    group.rows = static_cast<uint64_t>(std::max<int64_t>(t.number(), 0));
    return true;
  });
  group.end = t.at();
}

void put_varint(std::string& out, uint64_t n) {
  for (; n >= 0x80; n >>= 7) out += static_cast<char>((n & 0x7f) | 0x80);
  out += static_cast<char>(n);
}

bool inside(const ByteRange& range, uint64_t size) {
  return range.offset <= size && range.length <= size - range.offset;
}

}  // namespace

const ColumnChunk* RowGroup::column(std::string_view name) const {
  const auto found = std::find_if(columns.begin(), columns.end(), [&](const auto& c) { return c.name == name; });
  return found == columns.end() ? nullptr : &*found;
}

uint64_t ParquetFooter::size_at_end(std::string_view tail) {
  if (tail.size() < 8 || !tail.ends_with("PAR1")) return 0;
  ByteReader r(as_bytes(tail.substr(tail.size() - 8)));
  return uint64_t{r.le32()} + 8;
}

Result<ParquetFooter> ParquetFooter::parse(std::string_view tail, uint64_t file_size) {
  const uint64_t size = size_at_end(tail);
  if (size == 0 || size > tail.size()) return Error{Code::kInvalid, "no Parquet footer"};
  ParquetFooter out;
  out.text_ = tail.substr(tail.size() - size, size - 8);
  Thrift t(out.text_);
  t.structure([&](int64_t id, uint8_t type) {
    if (id == 3 && type == kI64) {
      out.rows_begin_ = t.at();
      t.number();
      out.rows_end_ = t.at();
      return true;
    }
    if (id != 4 || type != kList) return false;
    out.groups_begin_ = t.at();
    t.list([&](uint8_t) { read_row_group(t, out.row_groups_.emplace_back()); });
    out.groups_end_ = t.at();
    return true;
  });
  if (!t.ok() || out.rows_end_ == 0 || out.groups_end_ == 0 || out.groups_begin_ < out.rows_end_)
    return Error{Code::kInvalid, "a damaged Parquet footer"};
  for (const RowGroup& group : out.row_groups_)
    for (const ColumnChunk& c : group.columns)
      if (!inside(c.bytes, file_size) || !inside(c.bloom, file_size))
        return Error{Code::kInvalid, "a Parquet footer that points past the file's end"};
  return out;
}

std::string ParquetFooter::with_only(std::span<const size_t> chosen) const {
  uint64_t rows = 0;
  for (const size_t i : chosen) rows += row_groups_[i].rows;
  std::string out = text_.substr(0, rows_begin_);
  put_varint(out, rows << 1);  // zigzag of a number that is not negative
  out.append(text_, rows_end_, groups_begin_ - rows_end_);
  if (chosen.size() < 15) {
    out += static_cast<char>(chosen.size() << 4 | kStruct);
  } else {
    out += static_cast<char>(0xf0 | kStruct);
    put_varint(out, chosen.size());
  }
  for (const size_t i : chosen) out.append(text_, row_groups_[i].begin, row_groups_[i].end - row_groups_[i].begin);
  out.append(text_, groups_end_);
  const auto size = static_cast<uint32_t>(out.size());
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(size >> shift & 0xff);
  return out + "PAR1";
}

}  // namespace baleen::index
