// docs/reference/protocols.md is written from the cards and the tables of fields, and from nothing else.
// BALEEN_UPDATE_GOLDENS=1 dissect_test --gtest_filter=Reference.* writes it anew.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "dissect/l4/cards.h"
#include "dissect/registry.h"

namespace baleen::dissect {
namespace {

std::string_view type_name(item::FieldType type) {
  constexpr std::string_view kNames[] = {"bool", "int", "double", "string", "bytes", "list", "map"};
  return kNames[static_cast<size_t>(type)];
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string page() {
  std::string out =
      "# Protocols\n\nWritten from the cards and Field tables of `src/dissect/`; a test fails when it is stale "
      "(`BALEEN_UPDATE_GOLDENS=1 dissect_test --gtest_filter='Reference.*'` writes it anew).\n\n"
      "Every path can be used in KFL v1 as it stands. The variable is that of KFL v2, where there is one. A secret is "
      "left out of what is shown and recorded when redaction is on.\n\n"
      "| protocol | flag | over | ports that break ties | specification |\n| --- | --- | --- | --- | --- |\n";
  for (const ProtocolEntry& entry : registry())
    for (const item::Protocol* card : entry.cards) {
      out += "| " + std::string(card->long_name) + " | `" + std::string(card->macro) + "` | ";
      out += entry.over_tcp && entry.over_udp ? "TCP, UDP" : entry.over_tcp ? "TCP" : "UDP";
      out += " | ";
      for (size_t i = 0; i < card->ports.size(); ++i) out += (i != 0 ? ", " : "") + std::to_string(card->ports[i]);
      out += " | " + std::string(card->reference) + " |\n";
    }
  for (const item::Protocol* card : l4::cards())
    out += "| " + std::string(card->long_name) + " | `" + std::string(card->macro) + "` | IP |  | " +
           std::string(card->reference) + " |\n";
  std::vector<const item::Protocol*> sections;
  for (const ProtocolEntry& entry : registry()) sections.push_back(entry.card);
  sections.insert(sections.end(), l4::cards().begin(), l4::cards().end());
  for (const item::Protocol* section : sections) {
    const item::Protocol& card = *section;
    out += "\n## " + std::string(card.abbreviation) + "\n\n" + std::string(card.long_name) + ", version " +
           std::string(card.version) +
           ".\n\n| path | variable | type | secret | meaning |\n| --- | --- | --- | --- | --- |\n";
    for (const item::Field& f : card.fields) {
      out += "| `" + std::string(f.path) + "` | " +
             (f.cel_name.empty() ? std::string() : "`" + std::string(f.cel_name) + "`") + " | " +
             std::string(type_name(f.type)) + " | " + (f.secret ? "secret" : "") + " | " + escaped(f.doc) + " |\n";
    }
  }
  return out;
}

TEST(Reference, PageOfProtocolsIsNotStale) {
  const std::filesystem::path path = BALEEN_SOURCE_DIR "/docs/reference/protocols.md";
  const std::string wanted = page();
  if (std::getenv("BALEEN_UPDATE_GOLDENS") != nullptr) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << wanted;
  }
  std::ifstream in(path, std::ios::binary);
  const std::string have{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(have == wanted, true) << path << " is stale: run this test with BALEEN_UPDATE_GOLDENS=1";
}

TEST(Reference, FieldsSayWhatTheyAre) {
  for (const item::Protocol* card : cards())
    for (const item::Field& f : card->fields) {
      EXPECT_FALSE(f.path.empty()) << card->name;
      EXPECT_FALSE(f.doc.empty()) << card->name << " " << f.path;
    }
}

}  // namespace
}  // namespace baleen::dissect
