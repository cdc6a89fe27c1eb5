// The beginning of a connection: the server's greeting, the client's hello, and what both say until OK or an error.

#include "dissect/mysql/draft.h"
#include "dissect/mysql/mysql.h"
#include "dissect/mysql/wire.h"
#include "dissect/text.h"

namespace baleen::dissect::mysql {

using item::Item;
using item::Value;

/// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
void Mysql::greeting(Bytes body, uint64_t size, const Input& in, Output& out) {
  login_ = new_item(kLogin, in, out);
  Draft& d = draft(login_);
  ByteReader r(body);
  r.skip(1);
  d.version = keep(login_, c_text(r).substr(0, 128));
  d.connection_id = r.le32();
  r.skip(9);
  offered_ = r.le16();
  r.skip(3);
  offered_ |= uint64_t{r.le16()} << 16;
  r.skip(1 + 6);
  offered_ |= uint64_t{r.le32()} << 32;  // MariaDB's extended capabilities, else filler
  if ((offered_ & kSecure) != 0) c_text(r);
  if ((offered_ & kPluginAuth) != 0 && r.remaining() > 0) d.server_plugin = keep(login_, c_text(r).substr(0, 64));
  login_->response.time = in.time;
  login_->response.size = size;
  phase_ = Phase::kGreeting;
}

/// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_response.html
Step Mysql::handshake_response(Bytes body, uint64_t size, uint64_t wanted, const Input& in, Output& out) {
  if (login_ == nullptr) login_ = new_item(kLogin, in, out);
  Item* item = login_;
  Draft& d = draft(item);
  item->request.time = in.time;
  item->request.size += size;
  ByteReader r(body);
  capabilities_ = r.le16();
  if ((capabilities_ & kProtocol41) == 0) {  // before 4.1: max packet (3), user
    r.skip(3);
    d.user = keep(item, c_text(r).substr(0, 256));
  } else {
    capabilities_ |= uint64_t{r.le16()} << 16;
    r.skip(4 + 1 + 23);
    if (!r.ok()) {
      gap(in.direction, 0, out);
      lost_here_[0] = true;
      return Step::lost();
    }
    if ((capabilities_ & kSsl) != 0 && r.remaining() == 0) {
      d.ssl = true;
      finish(std::exchange(login_, nullptr), out);
      return Step::switch_to("tls", wanted);
    }
    d.user = keep(item, c_text(r).substr(0, 256));
    const size_t n = (capabilities_ & kLenencAuth) != 0
                         ? static_cast<size_t>(std::min<uint64_t>(lenenc(r), r.remaining()))
                     : (capabilities_ & kSecure) != 0 ? std::min<size_t>(r.u8(), r.remaining())
                                                      : c_text(r).size();
    if ((capabilities_ & (kLenencAuth | kSecure)) != 0) d.password = keep_value(item, r.text(n).substr(0, 1024));
    if ((capabilities_ & kConnectWithDb) != 0 && r.remaining() > 0) d.database = keep(item, c_text(r).substr(0, 256));
    if ((capabilities_ & kPluginAuth) != 0 && r.remaining() > 0) d.client_plugin = keep(item, c_text(r).substr(0, 64));
    if ((capabilities_ & kAttributes) != 0 && r.remaining() > 0) {
      ByteReader pairs(as_bytes(lenenc_text(r)));
      MapBuilder<16> map;
      while (pairs.remaining() > 0 && pairs.ok()) {
        const std::string_view name = keep(item, lenenc_text(pairs));
        map.add(name, keep_value(item, lenenc_text(pairs)));
      }
      d.attributes = map.build(item->arena);
    }
  }
  names().user.assign(d.user);
  names().database.assign(d.database);
  phase_ = Phase::kAuthentication;
  return Step::took(wanted);
}

void Mysql::authentication(Bytes body, uint64_t size, const Input& in, Output& out) {
  Item* item = login_;
  if (item == nullptr) return;
  Draft& d = draft(item);
  if (item->response.size == 0) item->response.time = in.time;
  item->response.size += size;
  if (body.empty()) return;
  if (body[0] == 0xFE && body.size() > 1) {  // switch: plugin, data
    ByteReader r(body.subspan(1));
    d.client_plugin = keep(item, c_text(r).substr(0, 64));
    d.password = Value();
  } else if (body[0] == 0 || is_error(body)) {
    ++d.results;
    uint16_t status = 0;
    if (body[0] == 0) {
      read_ok(item, body, status);
      if ((capabilities_ & kZstd) != 0 && (offered_ == 0 || (offered_ & kZstd) != 0)) compression_ = Compression::kZstd;
      if ((capabilities_ & kCompress) != 0 && (offered_ == 0 || (offered_ & kCompress) != 0))
        compression_ = Compression::kZlib;
    } else {
      d.failed = true;
      d.error = error_value(body, item->arena);
    }
    phase_ = Phase::kCommand;
    finish(std::exchange(login_, nullptr), out);
  }
}
}  // namespace baleen::dissect::mysql
