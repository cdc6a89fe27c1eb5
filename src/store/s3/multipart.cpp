// Uploads by parts (docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html), resumable across a death of ours.
//
// A session's text names the store's upload, the size of its parts and the content. A later try asks the store which
// parts it has, reads ours of the same number, and sends again those that are not equal: the store's word that it has
// "part 3" is not enough, since the file may be another one. What is known to be final takes the upload back, so that
// its parts do not cost for ever; what may be tried again leaves it, and a bucket's rule for incomplete uploads ends
// those that nobody came back to.

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "base/crc32c.h"
#include "io/crypto.h"
#include "store/checksum.h"
#include "store/json.h"
#include "store/s3/s3_store.h"

namespace baleen::store::s3 {
namespace {

constexpr uint64_t kUsualPart = 16 << 20, kLeastPart = 5 << 20, kMostParts = 10'000;

}  // namespace

std::string S3Store::Session::to_text(const std::string& bucket, std::string_view key) const {
  return dump_json({{"s3", bucket},
                    {"key", key},
                    {"upload", upload_id},
                    {"part", part_bytes},
                    {"size", size},
                    {"crc32c", encode_crc32c(crc32c)},
                    {"checksums", checksums ? "crc32c" : ""}});
}

/// The session of a kept text, when it is of this very content at this place.
std::optional<S3Store::Session> S3Store::resumable(std::string_view key, const UploadBody& body,
                                                   const std::string& text) const {
  const auto json = parse_json(text);
  if (!json || json_text(*json, "s3") != settings_.bucket || json_text(*json, "key") != key) return std::nullopt;
  Session session{json_text(*json, "upload"), parse_number(json_text(*json, "part")).value_or(0), body.size,
                  body.crc32c, json_text(*json, "checksums") == "crc32c"};
  const bool same =
      parse_number(json_text(*json, "size")) == body.size && decode_crc32c(json_text(*json, "crc32c")) == body.crc32c;
  if (!same || session.upload_id.empty() || session.part_bytes < kLeastPart) return std::nullopt;
  return session;
}

Result<S3Store::Session> S3Store::begin(std::string_view key, const UploadBody& body, const PutOptions& options) {
  Request request{.method = "POST", .key = std::string(key), .query = "uploads="};
  describe(body, options, request);
  request.http.cancel = options.cancel;
  BALEEN_TRY(const io::HttpAnswer answer, send_with_checksum(std::move(request), "x-amz-checksum-algorithm", "CRC32C",
                                                             [this](Request r) { return send(std::move(r)); }));
  if (!answer.ok()) return refused(answer, "put", key, "s3:PutObject");
  auto id = parse_upload_id(answer.body);
  if (!id) return std::move(id).error().in(what("put", key));
  return Session{*std::move(id), choose_part(body.size, options.part_bytes, kUsualPart, kLeastPart, kMostParts),
                 body.size, body.crc32c, answer.header("x-amz-checksum-algorithm") == "CRC32C"};
}

/// Of what is sent; its SHA-256 is signed, or its CRC32C (`checksums`: it goes along) is enough.
io::Digests S3Store::digests_of_content(bool checksums) const {
  const bool in_the_clear = !base_url().starts_with("https://");
  const bool signs = settings_.sign_payload.value_or(in_the_clear) || !checksums || !checks_crcs_;
  return {.sha256 = signs, .crc32c = true};
}

Result<std::vector<Part>> S3Store::list_parts(std::string_view key, const std::string& upload_id) {
  std::vector<Part> parts;
  for (uint32_t marker = 0;;) {
    Request request{.key = std::string(key)};
    request.query =
        fmt::format("max-parts=1000&part-number-marker={}&uploadId={}", marker, io::percent_encode(upload_id));
    BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
    if (!answer.ok()) return refused(answer, "put", key, "s3:ListMultipartUploadParts");
    auto page = parse_parts(answer.body);
    if (!page) return std::move(page).error().in(what("put", key));
    parts.insert(parts.end(), page->parts.begin(), page->parts.end());
    if (page->next <= marker) return parts;
    marker = page->next;
  }
}

/// What the signature says of a part's content the store has to check, or its CRC32C, when it has shown that it does.
/// An MD5 would cost more than all else, so only those get it who ask for it.
Result<Part> S3Store::put_part(std::string_view key, const UploadBody& body, const PutOptions& options,
                               const Session& session, uint32_t number, const io::PartDigests& digests,
                               bool with_hash) {
  const uint64_t offset = (number - 1) * session.part_bytes;
  const uint64_t length = std::min(session.part_bytes, body.size - offset);
  const bool with_md5 = wants_md5_ && !session.checksums;
  Request request{.method = "PUT", .key = std::string(key)};
  request.query = fmt::format("partNumber={}&uploadId={}", number, io::percent_encode(session.upload_id));
  request.payload_sha256 = with_hash ? io::to_hex(digests.sha256) : kUnsigned;
  const std::string crc = session.checksums ? encode_crc32c(digests.crc32c) : "";
  if (session.checksums) request.http.headers.emplace_back(kChecksumHeader, crc);
  if (with_md5) {
    BALEEN_TRY(const io::PartDigests more, body.digests(offset, length, {.md5 = true}));
    request.http.headers.emplace_back("Content-MD5", io::base64(more.md5));
  }
  add_customer_key(request);
  body.attach(request.http, offset, length);
  request.http.cancel = options.cancel;
  request.http.bandwidth = options.bandwidth;
  BALEEN_TRY(const io::HttpAnswer answer, send(std::move(request)));
  if (!with_md5 && !session.checksums && asks_for_md5(answer)) {
    wants_md5_ = true;
    return put_part(key, body, options, session, number, digests, with_hash);
  }
  if (!answer.ok()) return refused(answer, "put", key, "s3:PutObject");
  const bool checked = session.checksums && answer.header(kChecksumHeader) == crc;
  if (session.checksums) checks_crcs_ = checked;
  if (!with_hash && !checked) {  // taken unseen, behind an answer that said otherwise: once more, signed
    BALEEN_TRY(io::PartDigests more, body.digests(offset, length, {.sha256 = true}));
    more.crc32c = digests.crc32c;
    return put_part(key, body, options, session, number, more, true);
  }
  Part part{number, length, plain_etag(answer.header("etag"))};
  part.crc32c = digests.crc32c;
  if (part.etag.empty()) return Error{Code::kUnavailable, what("put", key) + ": the store gave a part no ETag"};
  return part;
}

Result<ObjectFacts> S3Store::complete(std::string_view key, const UploadBody& body, const PutOptions& options,
                                      const Session& session, const std::vector<Part>& parts) {
  std::string xml = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
  for (const Part& part : parts)
    xml += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>&quot;{}&quot;</ETag>{}</Part>", part.number, part.etag,
                       session.checksums ? "<ChecksumCRC32C>" + encode_crc32c(*part.crc32c) + "</ChecksumCRC32C>" : "");
  xml += "</CompleteMultipartUpload>";
  Request request{.method = "POST", .key = std::string(key)};
  request.query = "uploadId=" + io::percent_encode(session.upload_id);
  request.payload_sha256 = io::to_hex(io::sha256(as_bytes(xml)));
  request.http.headers = {{"Content-Type", "application/xml"}};
  add_customer_key(request);
  request.http.body = as_bytes(xml);
  request.http.cancel = options.cancel;
  BALEEN_TRY(const io::HttpAnswer answer,
             options.only_if_absent ? send_once_only(std::move(request), key) : send(std::move(request)));
  // The store begins its answer with 200 before it knows how it ends.
  if (!answer.ok() || parse_refusal(answer.body)) return refused(answer, "put", key, "s3:PutObject");

  auto object = head(key);
  if (!object) {
    if (object.error().code != Code::kDenied) return std::move(object).error().in("after " + what("put", key));
    return ObjectFacts{.key = std::string(key), .size = body.size, .crc32c = body.crc32c};  // may write, not read
  }
  if (object->size != body.size || (object->crc32c && *object->crc32c != body.crc32c))
    return Error{Code::kUnavailable,
                 fmt::format("{}: {} bytes are there, not {}", what("put", key), object->size, body.size)};
  return object;
}

/// Whether a part that the store has is ours of that number; then it gets our CRC32C.
bool S3Store::has_part(const UploadBody& body, const Session& session, Part& part) const {
  const uint64_t offset = (part.number - 1) * session.part_bytes;
  if (offset >= body.size || part.size != std::min(session.part_bytes, body.size - offset)) return false;
  if (session.checksums && !part.crc32c) return false;  // the completion needs the store to know it
  const auto ours = body.digests(offset, part.size, {.md5 = !part.crc32c, .crc32c = true});
  if (!ours) return false;
  const bool same = part.crc32c ? *part.crc32c == ours->crc32c : part.etag == io::to_hex(ours->md5);
  part.crc32c = ours->crc32c;
  return same;
}

void S3Store::abort(std::string_view key, const std::string& upload_id) {
  (void)send({.method = "DELETE", .key = std::string(key), .query = "uploadId=" + io::percent_encode(upload_id)});
}

/// Where an upload stands that an earlier try has begun; without a session when there is none to go on with.
Result<S3Store::Resumed> S3Store::resume(std::string_view key, const UploadBody& body, const std::string& text) {
  Resumed out;
  out.session = resumable(key, body, text);
  if (!out.session) return out;
  auto parts = list_parts(key, out.session->upload_id);
  if (parts) {
    for (Part& part : *parts) out.theirs.insert_or_assign(part.number, part);
    return out;
  }
  // May write but not list parts: all are sent again, into the same upload.
  if (parts.error().code == Code::kDenied) return out;
  if (parts.error().code != Code::kNotFound) return std::move(parts).error();
  // Forgotten, taken back, or complete: then only the answer was lost.
  out.session.reset();
  auto there = head(key);
  if (there && there->size == body.size && there->crc32c == body.crc32c) out.complete = *std::move(there);
  return out;
}

Result<ObjectFacts> S3Store::put_parts(std::string_view key, const UploadBody& body, const PutOptions& options) {
  const auto keep = [&](const std::string& text) {
    if (options.on_session) options.on_session(text);
  };
  BALEEN_TRY(Resumed resumed, resume(key, body, options.session));
  if (resumed.complete) {
    keep("");
    return *std::move(resumed.complete);
  }
  std::optional<Session>& session = resumed.session;
  if (!session) {
    BALEEN_TRY(session, begin(key, body, options));
    keep(session->to_text(settings_.bucket, key));
  }

  const auto give_up = [&](Error error) {
    if (error.code == Code::kNotFound) {  // the store has forgotten the upload: a later try begins anew
      keep("");
      error.code = Code::kUnavailable;
    } else if (!error.retryable() && error.code != Code::kIo) {
      abort(key, session->upload_id);
      keep("");
    }
    return error;
  };
  std::vector<Part> parts;
  const uint64_t count = std::max<uint64_t>(1, (body.size + session->part_bytes - 1) / session->part_bytes);
  DigestsAhead ahead(body, session->part_bytes);
  for (uint32_t number = 1; number <= count; ++number) {
    const uint64_t offset = (number - 1) * session->part_bytes;
    const uint64_t length = std::min(session->part_bytes, body.size - offset);
    if (const auto at = resumed.theirs.find(number);
        at != resumed.theirs.end() && has_part(body, *session, at->second)) {
      parts.push_back(at->second);
      if (options.on_progress) options.on_progress(offset + length);
      continue;
    }
    const io::Digests wanted = digests_of_content(session->checksums);
    BALEEN_TRY(const io::PartDigests digests, ahead.of(offset, wanted));
    auto part = put_part(key, body, options, *session, number, digests, wanted.sha256);
    if (!part) return give_up(std::move(part).error());
    parts.push_back(*std::move(part));
    if (options.on_progress) options.on_progress(offset + length);
  }
  uint32_t whole = 0;
  for (const Part& part : parts) whole = crc32c_of_both(whole, *part.crc32c, part.size);
  if (whole != body.crc32c) return give_up(unexpected_content(key));
  auto object = complete(key, body, options, *session, parts);
  if (!object) return give_up(std::move(object).error());
  keep("");
  return object;
}

}  // namespace baleen::store::s3
