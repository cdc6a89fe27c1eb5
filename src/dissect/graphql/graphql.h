#pragma once

#include "item/item.h"

namespace baleen::dissect::graphql {

extern const item::Protocol kProtocol;   // over HTTP/1
extern const item::Protocol kProtocol2;  // over HTTP/2

/// Whether a request of this Content-Type (empty: it has no body) and with that query part of its target could be a
/// call. Cheap; refine_request() need not be asked when not.
bool may_be_call(std::string_view content_type, std::string_view query);

/// To be called when an HTTP request, of any version, is complete and its payload (reference row I-20) in place. If it
/// is a GraphQL call, the item gets GraphQL's card and `request.graphql`; if not, it is left alone. When the answer is
/// there already, it is looked at as well.
///
/// A call is a document, or several of them in a batch, in JSON, in `query` of the target or of a form, in the
/// `operations` of a multipart form, or as such (application/graphql). A text that is none counts as one where the path
/// ends in "graphql": a mistake in a query is worth seeing. So does the hash of a persisted query.
void refine_request(item::Item& item);

/// To be called when the response is complete: adds `response.graphql`, the errors, to the item of a GraphQL call;
/// others are left alone.
void refine_response(item::Item& item);

/// Whether a WebSocket's subprotocol carries GraphQL: graphql-transport-ws
/// (https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md), or graphql-ws, the one before it.
bool is_socket_protocol(std::string_view name);
/// What one of its messages says: messageType, id, and of an operation what `request.graphql` shows, of a result how
/// many errors it has, and these. Null when it is none.
item::Value socket_message(std::string_view text, Arena& arena);

}  // namespace baleen::dissect::graphql
