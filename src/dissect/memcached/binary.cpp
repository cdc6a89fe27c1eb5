#include "dissect/memcached/binary.h"

#include "dissect/build.h"
#include "dissect/memcached/text.h"

namespace baleen::dissect::memcached {
namespace {

constexpr Name kOpcodes[] = {
    {0x00, "get"},       {0x01, "set"},       {0x02, "add"},      {0x03, "replace"},
    {0x04, "delete"},    {0x05, "incr"},      {0x06, "decr"},     {0x07, "quit"},
    {0x08, "flush_all"}, {0x09, "getq"},      {0x0A, "noop"},     {0x0B, "version"},
    {0x0C, "getk"},      {0x0D, "getkq"},     {0x0E, "append"},   {0x0F, "prepend"},
    {0x10, "stats"},     {0x11, "setq"},      {0x12, "addq"},     {0x13, "replaceq"},
    {0x14, "deleteq"},   {0x15, "incrq"},     {0x16, "decrq"},    {0x17, "quitq"},
    {0x18, "flushq"},    {0x19, "appendq"},   {0x1A, "prependq"}, {0x1B, "verbosity"},
    {0x1C, "touch"},     {0x1D, "gat"},       {0x1E, "gatq"},     {0x20, "sasl list mechs"},
    {0x21, "sasl auth"}, {0x22, "sasl step"},
};
constexpr Name kStatuses[] = {
    {0, "OK"},
    {1, "NOT_FOUND"},
    {2, "EXISTS"},
    {3, "TOO_LARGE"},
    {4, "INVALID_ARGUMENTS"},
    {5, "NOT_STORED"},
    {6, "NON_NUMERIC"},
    {0x20, "AUTH_ERROR"},
    {0x21, "AUTH_CONTINUE"},
    {0x81, "UNKNOWN_COMMAND"},
    {0x82, "OUT_OF_MEMORY"},
};

/// What the parts of a request must be (protocol-binary.txt, section 4): bytes of extras, whether there is a key,
/// whether there may be a value.
struct BinaryForm {
  uint8_t extras;
  bool key, value;
};
BinaryForm form_of(uint8_t opcode) {
  switch (opcode) {
    case 0x01:  // set, add, replace: flags and expiry
    case 0x02:
    case 0x03:
    case 0x11:
    case 0x12:
    case 0x13: return {8, true, true};
    case 0x05:  // incr, decr: delta, initial value, expiry
    case 0x06:
    case 0x15:
    case 0x16: return {20, true, false};
    case 0x07:  // quit, noop, version
    case 0x0A:
    case 0x0B:
    case 0x17:
    case 0x20: return {0, false, false};
    case 0x08:  // flush: perhaps an expiry
    case 0x18:
    case 0x1B: return {4, false, false};
    case 0x0E:  // append, prepend, SASL
    case 0x0F:
    case 0x19:
    case 0x1A:
    case 0x21:
    case 0x22: return {0, true, true};
    case 0x1C:  // touch, get and touch
    case 0x1D:
    case 0x1E: return {4, true, false};
    default: return {0, true, false};
  }
}

}  // namespace

std::string_view opcode_name(uint8_t opcode) { return name_in(kOpcodes, opcode); }
std::string_view status_name(uint16_t status) { return name_in(kStatuses, status); }

bool is_quiet(uint8_t opcode) {
  return opcode == 0x09 || opcode == 0x0D || (opcode >= 0x11 && opcode <= 0x1A) || opcode == 0x1E;
}

Probe binary_at(Direction d, Bytes b) {
  if (b[0] != (d == Direction::kToServer ? 0x80 : 0x81)) return Probe::kNo;
  if (b.size() < kBinaryHead) return Probe::kUnsure;
  const uint8_t opcode = b[1];
  const uint32_t key = load_be16(&b[2]), extras = b[4], body = load_be32(&b[8]);
  if (opcode_name(opcode).empty() || b[5] != 0 || key > 250 || key + extras > body || body > kMaxValue)
    return Probe::kNo;
  if (d == Direction::kToClient) {  // extras are flags
    const uint16_t status = load_be16(&b[6]);
    return (extras == 0 || extras == 4) && (status == 0 || !status_name(status).empty()) ? Probe::kYes : Probe::kNo;
  }
  if (load_be16(&b[6]) > 2047) return Probe::kNo;  // the virtual bucket
  const BinaryForm form = form_of(opcode);
  const bool may_lack_key = opcode == 0x10, may_lack_extras = opcode == 0x08 || opcode == 0x18;
  if (extras != form.extras && !(may_lack_extras && extras == 0)) return Probe::kNo;
  if (key == 0 ? form.key && !may_lack_key : !form.key) return Probe::kNo;
  return form.value || key + extras == body ? Probe::kYes : Probe::kNo;
}

}  // namespace baleen::dissect::memcached
