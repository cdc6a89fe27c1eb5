#include "store/s3/signature.h"

#include <gtest/gtest.h>

#include "io/crypto.h"

namespace baleen::store::s3 {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

std::string authorization_of(const io::HttpRequest& request) {
  for (const auto& [name, value] : request.headers)
    if (name == "Authorization") return value;
  return {};
}

std::string signature_of(const io::HttpRequest& request) {
  const std::string text = authorization_of(request);
  return text.substr(text.find("Signature=") + 10);
}

struct Vector {
  const char* name;
  const char* method;
  const char* url;
  Headers headers;
  const char* body;
  const char* signature;
};

// "Examples: Signature Calculations" of the Amazon S3 API reference (sig-v4-header-based-auth).
TEST(Signature, AmazonsExamplesForS3) {
  const Keys keys{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""};
  const Timestamp time = timestamp_from_ns(1369353600LL * 1'000'000'000);  // 2013-05-24T00:00:00Z
  const Vector table[] = {
      {"get object",
       "GET",
       "https://examplebucket.s3.amazonaws.com/test.txt",
       {{"Range", "bytes=0-9"}},
       "",
       "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
      {"put object",
       "PUT",
       "https://examplebucket.s3.amazonaws.com/test%24file.text",
       {{"Date", "Fri, 24 May 2013 00:00:00 GMT"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
       "Welcome to Amazon S3.",
       "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
      {"bucket lifecycle",
       "GET",
       "https://examplebucket.s3.amazonaws.com/?lifecycle",
       {},
       "",
       "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
      {"list objects",
       "GET",
       "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
       {},
       "",
       "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
      {"list objects, the query unsorted",
       "GET",
       "https://examplebucket.s3.amazonaws.com/?prefix=J&max-keys=2",
       {},
       "",
       "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
  };
  for (const Vector& row : table) {
    SCOPED_TRACE(row.name);
    io::HttpRequest request{.method = row.method, .url = row.url, .headers = row.headers};
    sign(request, keys, {"us-east-1", "s3"}, io::to_hex(io::sha256(as_bytes(row.body))), time);
    EXPECT_EQ(signature_of(request), row.signature);
  }
}

// The published test suite of Signature Version 4 ("aws-sig-v4-test-suite"): service "service", no hash header.
TEST(Signature, TheTestSuite) {
  const Keys keys{"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", ""};
  const Timestamp time = timestamp_from_ns(1440938160LL * 1'000'000'000);  // 2015-08-30T12:36:00Z
  const Vector table[] = {
      {"get-vanilla",
       "GET",
       "https://example.amazonaws.com/",
       {},
       "",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-vanilla-query-order-key-case",
       "GET",
       "https://example.amazonaws.com/?Param2=value2&Param1=value1",
       {},
       "",
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"post-vanilla",
       "POST",
       "https://example.amazonaws.com/",
       {},
       "",
       "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
  };
  for (const Vector& row : table) {
    SCOPED_TRACE(row.name);
    io::HttpRequest request{.method = row.method, .url = row.url, .headers = row.headers};
    sign(request, keys, {"us-east-1", "service"}, io::to_hex(io::sha256(as_bytes(row.body))), time);
    EXPECT_EQ(signature_of(request), row.signature);
  }
}

TEST(Signature, CanonicalRequest) {
  io::HttpRequest request{.method = "GET", .url = "http://h:9000/b/a%2Fb?b&a=2&a=1"};
  request.headers = {{"X-Two", "  a   b  "}, {"x-one", "1"}, {"X-One", "2"}};
  std::string names;
  EXPECT_EQ(canonical_request(request, "H", &names),
            "GET\n/b/a%2Fb\na=1&a=2&b=\nhost:h:9000\nx-one:1,2\nx-two:a b\n\nhost;x-one;x-two\nH");
  EXPECT_EQ(names, "host;x-one;x-two");
}

TEST(Signature, TemporaryKeysSendTheirToken) {
  io::HttpRequest request{.url = "https://b.s3.amazonaws.com/k"};
  sign(request, {"A", "S", "T"}, {"us-east-1", "s3"}, kEmptySha256, timestamp_from_ns(0));
  EXPECT_NE(authorization_of(request).find("x-amz-security-token"), std::string::npos) << "it is signed, too";
  EXPECT_EQ(authorization_of(request).find("Credential=A/19700101/us-east-1/s3/aws4_request"), 17u);
}

}  // namespace
}  // namespace baleen::store::s3
