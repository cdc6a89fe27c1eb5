#include "dissect/tls/decrypt/key_log.h"

#include <gtest/gtest.h>

#include "dissect/test_bytes.h"

namespace baleen::dissect::tls {
namespace {

std::string repeat(std::string_view pair, size_t n) {
  std::string out;
  while (n-- > 0) out += pair;
  return out;
}
const std::string kRandom = repeat("0a", 32), kOther = repeat("0b", 32);

TEST(KeyLog, Lines) {
  struct Row {
    const char* name;
    std::string text;
    uint64_t secrets, malformed, other;
  };
  const Row rows[] = {
      {"nothing", "", 0, 0, 0},
      {"comments and empty lines", "# SSL/TLS secrets log file\n\n  \n#\n", 0, 0, 0},
      {"master secret", "CLIENT_RANDOM " + kRandom + " " + repeat("ff", 48) + "\n", 1, 0, 0},
      {"no end of line", "CLIENT_RANDOM " + kRandom + " " + repeat("ff", 48), 1, 0, 0},
      {"other end of line", "CLIENT_RANDOM " + kRandom + " " + repeat("FF", 48) + "\r\n", 1, 0, 0},
      {"all of 1.3",
       "CLIENT_EARLY_TRAFFIC_SECRET " + kRandom + " " + repeat("01", 32) + "\nCLIENT_HANDSHAKE_TRAFFIC_SECRET " +
           kRandom + " " + repeat("02", 48) + "\nSERVER_HANDSHAKE_TRAFFIC_SECRET " + kRandom + " " + repeat("03", 48) +
           "\nCLIENT_TRAFFIC_SECRET_0 " + kRandom + " " + repeat("04", 32) + "\nSERVER_TRAFFIC_SECRET_0 " + kRandom +
           " " + repeat("05", 32) + "\n",
       5, 0, 0},
      {"said twice", repeat("CLIENT_RANDOM " + kRandom + " " + repeat("ff", 48) + "\n", 2), 1, 0, 0},
      {"labels of others",
       "EXPORTER_SECRET " + kRandom + " " + repeat("01", 32) + "\nRSA 0011223344556677 " + repeat("01", 48) + "\n", 0,
       0, 2},
      {"short random", "CLIENT_RANDOM 0a0a " + repeat("ff", 48) + "\n", 0, 1, 0},
      {"long random", "CLIENT_RANDOM " + kRandom + "0a " + repeat("ff", 48) + "\n", 0, 1, 0},
      {"short secret", "CLIENT_RANDOM " + kRandom + " " + repeat("ff", 47) + "\n", 0, 1, 0},
      {"a master secret of 32 bytes", "CLIENT_RANDOM " + kRandom + " " + repeat("ff", 32) + "\n", 0, 1, 0},
      {"long secret", "SERVER_TRAFFIC_SECRET_0 " + kRandom + " " + repeat("ff", 64) + "\n", 0, 1, 0},
      {"half a byte", "CLIENT_RANDOM " + kRandom + " " + repeat("ff", 47) + "f\n", 0, 1, 0},
      {"no digits", "CLIENT_RANDOM " + kRandom + " " + repeat("fg", 48) + "\n", 0, 1, 0},
      {"one word more", "CLIENT_RANDOM " + kRandom + " " + repeat("ff", 48) + " x\n", 0, 1, 0},
      {"one blank more", "CLIENT_RANDOM  " + kRandom + " " + repeat("ff", 48) + "\n", 0, 1, 0},
      {"no secret", "CLIENT_RANDOM " + kRandom + "\n", 0, 1, 0},
      {"only a label", "CLIENT_RANDOM\n", 0, 1, 0},
      {"something else", "GET / HTTP/1.1\nHost: a\n{}\n", 0, 2, 1},
  };
  for (const Row& row : rows) {
    KeyLog log;
    log.add(row.text);
    const KeyLogCounters counters = log.counters();
    EXPECT_EQ(counters.secrets, row.secrets) << row.name;
    EXPECT_EQ(counters.malformed, row.malformed) << row.name;
    EXPECT_EQ(counters.other, row.other) << row.name;
    EXPECT_EQ(log.version(), row.secrets == 0 ? 0u : 1u) << row.name;
  }
}

TEST(KeyLog, IsFound) {
  KeyLog log;
  log.add("CLIENT_RANDOM " + kRandom + " " + repeat("fe", 48) + "\nCLIENT_TRAFFIC_SECRET_0 " + kOther + " " +
          repeat("02", 32) + "\n");
  Secret secret;
  const std::string random = unhex(kRandom), other = unhex(kOther);
  ASSERT_TRUE(log.find(as_bytes(random), SecretKind::kMaster, secret));
  EXPECT_EQ(as_text(secret.view()), std::string(48, '\xfe'));
  EXPECT_FALSE(log.find(as_bytes(random), SecretKind::kClientApplication, secret));
  ASSERT_TRUE(log.find(as_bytes(other), SecretKind::kClientApplication, secret));
  EXPECT_EQ(as_text(secret.view()), std::string(32, '\2'));
  EXPECT_FALSE(log.find(as_bytes(random).first(31), SecretKind::kMaster, secret));
  EXPECT_FALSE(log.find(as_bytes(std::string(32, 'x')), SecretKind::kMaster, secret));
}

TEST(KeyLog, WhatItSaysCanBeReadAgain) {
  KeyLog log, again;
  const std::string text = "CLIENT_HANDSHAKE_TRAFFIC_SECRET " + kRandom + " " + repeat("a1", 48) +
                           "\nSERVER_TRAFFIC_SECRET_0 " + kRandom + " " + repeat("b2", 48) + "\n";
  log.add(text + "CLIENT_RANDOM " + kOther + " " + repeat("c3", 48) + "\n");
  const std::string random = unhex(kRandom);
  EXPECT_EQ(log.lines(as_bytes(random)), text);
  EXPECT_EQ(log.lines(as_bytes(std::string(32, 'x'))), "");
}

TEST(KeyLog, OldestMakeRoom) {
  KeyLog log(3);
  Secret secret;
  for (int i = 0; i < 10; ++i)
    log.add("CLIENT_RANDOM " + repeat("0" + std::to_string(i), 32) + " " + repeat("ff", 48) + "\n");
  EXPECT_EQ(log.counters().sessions, 3u);
  EXPECT_EQ(log.counters().forgotten, 7u);
  EXPECT_FALSE(log.find(as_bytes(std::string(32, '\6')), SecretKind::kMaster, secret));
  EXPECT_TRUE(log.find(as_bytes(std::string(32, '\7')), SecretKind::kMaster, secret));
}

}  // namespace
}  // namespace baleen::dissect::tls
