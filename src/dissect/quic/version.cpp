#include "dissect/quic/version.h"

namespace baleen::dissect::quic {
namespace {

using Salt = std::array<uint8_t, 20>;

// draft-ietf-quic-tls-17, -23 and -29, 5.2.
constexpr Salt kDraft22 = {0x7F, 0xBC, 0xDB, 0x0E, 0x7C, 0x66, 0xBB, 0xE9, 0x19, 0x3A,
                           0x96, 0xCD, 0x21, 0x51, 0x9E, 0xBD, 0x7A, 0x02, 0x64, 0x4A};
constexpr Salt kDraft23 = {0xC3, 0xEE, 0xF7, 0x12, 0xC7, 0x2E, 0xBB, 0x5A, 0x11, 0xA7,
                           0xD2, 0x43, 0x2B, 0xB4, 0x63, 0x65, 0xBE, 0xF9, 0xF5, 0x02};
constexpr Salt kDraft29 = {0xAF, 0xBF, 0xEC, 0x28, 0x99, 0x93, 0xD2, 0x4C, 0x9E, 0x97,
                           0x86, 0xF1, 0x9C, 0x61, 0x11, 0xE0, 0x43, 0x90, 0xA8, 0x99};
// RFC 9001 5.2, since draft-33.
constexpr Salt kFirst = {0x38, 0x76, 0x2C, 0xF7, 0xF5, 0x59, 0x34, 0xB3, 0x4D, 0x17,
                         0x9A, 0xE6, 0xA4, 0xC8, 0x0C, 0xAD, 0xCC, 0xBB, 0x7F, 0x0A};
// draft-ietf-quic-v2-00 3.3, and RFC 9369 3.3.1.
constexpr Salt kSecondDraft = {0xA7, 0x07, 0xC2, 0x03, 0xA5, 0x9B, 0x47, 0x18, 0x4A, 0x1D,
                               0x62, 0xCA, 0x57, 0x04, 0x06, 0xEA, 0x7A, 0xE3, 0xE5, 0xD3};
constexpr Salt kSecond = {0x0D, 0xED, 0xE3, 0xDE, 0xF7, 0x00, 0xA6, 0xDB, 0x81, 0x93,
                          0x81, 0xBE, 0x6E, 0x26, 0x9D, 0xCB, 0xF9, 0xBD, 0x2E, 0xD9};
constexpr Version kVersions[] = {
    {1, "1", kFirst},
    {0x6B3343CF, "2", kSecond, true, true},
    {0xFF00001D, "draft-29", kDraft29},
    {0xFF00001E, "draft-30", kDraft29},
    {0xFF00001F, "draft-31", kDraft29},
    {0xFF000020, "draft-32", kDraft29},
    {0xFF000021, "draft-33", kFirst},
    {0xFF000022, "draft-34", kFirst},
    {0xFF00001C, "draft-28", kDraft23},
    {0xFF00001B, "draft-27", kDraft23},
    {0xFF00001A, "draft-26", kDraft23, false, false, true},
    {0xFF000019, "draft-25", kDraft23, false, false, true},
    {0xFF000018, "draft-24", kDraft23, false, false, true},
    {0xFF000017, "draft-23", kDraft23, false, false, true},
    {0xFF000016, "draft-22", kDraft22, false, false, true},
    {0x709A50C4, "2 (draft)", kSecondDraft, true, true},
    {0xFF020000, "2 (draft-00)", kSecondDraft, true},
    {0xFACEB001, "mvfst 1", kDraft22, false, false, true},
    {0xFACEB002, "mvfst 2", kDraft23},
    {0xFACEB00E, "mvfst experimental", kDraft23},
};

// Numbers that mean nothing and make servers tell their versions (RFC 9000 15). By what such packets are sealed nobody
// says.
constexpr Version kReserved[2] = {
    {0x0A0A0A0A, "reserved", kFirst, false, false, false, &kReserved[1]},
    {0x0A0A0A0A, "reserved", kDraft29},
};

}  // namespace

bool is_reserved(uint32_t number) { return (number & 0x0F0F0F0F) == 0x0A0A0A0A; }

const Version* find_version(uint32_t number) {
  for (const Version& v : kVersions)
    if (v.number == number) return &v;
  return is_reserved(number) ? kReserved : nullptr;
}

}  // namespace baleen::dissect::quic
