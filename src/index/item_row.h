#pragma once

#include <string>
#include <string_view>

#include "item/item.h"

namespace baleen::index {

/// An item as a row of the items table: what filters commonly ask as columns, and the whole as JSON.
struct ItemRow {
  int64_t time_ns = 0;
  int64_t elapsed_us = 0;
  int64_t request_size = 0, response_size = 0, index = 0;
  int64_t src_port = 0, dst_port = 0;
  int64_t status = -1;  // -1: not a number
  int64_t vlan = 0;
  bool tls = false;
  std::string id, stream, node, protocol, abbreviation, version, error;
  std::string src_ip, src_name, src_namespace, src_pod, src_service, src_process;
  std::string dst_ip, dst_name, dst_namespace, dst_pod, dst_service, dst_process;
  std::string method, path, host, status_text;
  std::string json;  // the whole item, one line
};

ItemRow row_from(const item::Item& item, std::string_view recording = {});

/// A row as bytes for a journal, and back; nothing when the bytes are not a whole row.
void append_row(const ItemRow& row, std::string& out);
bool read_row(std::string_view bytes, ItemRow& row);

}  // namespace baleen::index
