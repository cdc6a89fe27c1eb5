// The operations of Kafka with their fields by version, after https://kafka.apache.org/protocol#protocol_messages.
// Those between brokers and controllers that no client sends stand here by name only.

#include "dissect/kafka/apis.h"

namespace baleen::dissect::kafka {
namespace {

constexpr int16_t kNever = INT16_MAX;

constexpr ApiText kTexts[] = {
    {0, "Produce", 13, 9, true,
     "transactionalId:s@3+ acks:i16 timeoutMs:i32 topicData[*name:s@0-12 *topicId:uuid@13+ partitionData[index:i32 "
     "records:r]]",
     "responses[*name:s@0-12 *topicId:uuid@13+ partitionResponses[index:i32 errorCode:i16 baseOffset:i64 "
     "logAppendTimeMs:i64@2+ logStartOffset:i64@5+ recordErrors[batchIndex:i32 batchIndexErrorMessage:s]@8+ "
     "errorMessage:s@8+ currentLeader(leaderId:i32 leaderEpoch:i32)@10+%0]] throttleTimeMs:i32@1+ "
     "nodeEndpoints[nodeId:i32 host:s port:i32 rack:s]@10+%0"},
    {1, "Fetch", 18, 12, true,
     "clusterId:s@12+%0 replicaId:i32@0-14 replicaState(replicaId:i32 replicaEpoch:i64)@15+%1 maxWaitMs:i32 "
     "minBytes:i32 maxBytes:i32@3+ isolationLevel:i8@4+ sessionId:i32@7+ sessionEpoch:i32@7+ topics[*topic:s@0-12 "
     "*topicId:uuid@13+ partitions[partition:i32 currentLeaderEpoch:i32@9+ fetchOffset:i64 lastFetchedEpoch:i32@12+ "
     "logStartOffset:i64@5+ partitionMaxBytes:i32]] forgottenTopicsData[topic:s@7-12 topicId:uuid@13+ "
     "partitions:[]i32]@7+ rackId:s@11+",
     "throttleTimeMs:i32@1+ errorCode:i16@7+ sessionId:i32@7+ responses[*topic:s@0-12 *topicId:uuid@13+ "
     "partitions[partitionIndex:i32 errorCode:i16 highWatermark:i64 lastStableOffset:i64@4+ logStartOffset:i64@5+ "
     "divergingEpoch(epoch:i32 endOffset:i64)@12+%0 currentLeader(leaderId:i32 leaderEpoch:i32)@12+%1 "
     "snapshotId(endOffset:i64 epoch:i32)@12+%2 abortedTransactions[producerId:i64 firstOffset:i64]@4+ "
     "preferredReadReplica:i32@11+ records:r]] nodeEndpoints[nodeId:i32 host:s port:i32 rack:s]@16+%0"},
    {2, "ListOffsets", 11, 6, true,
     "replicaId:i32 isolationLevel:i8@2+ topics[*name:s partitions[partitionIndex:i32 currentLeaderEpoch:i32@4+ "
     "timestamp:i64 maxNumOffsets:i32@0]] timeoutMs:i32@10+",
     "throttleTimeMs:i32@2+ topics[*name:s partitions[partitionIndex:i32 errorCode:i16 oldStyleOffsets:[]i64@0 "
     "timestamp:i64@1+ offset:i64@1+ leaderEpoch:i32@4+]]"},
    {3, "Metadata", 13, 9, true,
     "topics[topicId:uuid@10+ *name:s] allowAutoTopicCreation:b@4+ includeClusterAuthorizedOperations:b@8-10 "
     "includeTopicAuthorizedOperations:b@8+",
     "throttleTimeMs:i32@3+ brokers[nodeId:i32 host:s port:i32 rack:s@1+] clusterId:s@2+ controllerId:i32@1+ "
     "topics[errorCode:i16 *name:s topicId:uuid@10+ isInternal:b@1+ partitions[errorCode:i16 partitionIndex:i32 "
     "leaderId:i32 leaderEpoch:i32@7+ replicaNodes:[]i32 isrNodes:[]i32 offlineReplicas:[]i32@5+] "
     "topicAuthorizedOperations:i32@8+] clusterAuthorizedOperations:i32@8-10 errorCode:i16@13+"},
    {4, "LeaderAndIsr", 7, 4, false, "", ""},
    {5, "StopReplica", 4, 2, false, "", ""},
    {6, "UpdateMetadata", 8, 6, false, "", ""},
    {7, "ControlledShutdown", 3, 3, false, "", ""},
    {8, "OffsetCommit", 10, 8, true,
     "groupId:s generationIdOrMemberEpoch:i32@1+ memberId:s@1+ groupInstanceId:s@7+ retentionTimeMs:i64@2-4 "
     "topics[*name:s@0-9 *topicId:uuid@10+ partitions[partitionIndex:i32 committedOffset:i64 "
     "committedLeaderEpoch:i32@6+ commitTimestamp:i64@1 committedMetadata:s]]",
     "throttleTimeMs:i32@3+ topics[*name:s@0-9 *topicId:uuid@10+ partitions[partitionIndex:i32 errorCode:i16]]"},
    {9, "OffsetFetch", 10, 6, true,
     "groupId:s@0-7 topics[*name:s partitionIndexes:[]i32]@0-7 groups[groupId:s memberId:s@9+ memberEpoch:i32@9+ "
     "topics[*name:s@8-9 *topicId:uuid@10+ partitionIndexes:[]i32]]@8+ requireStable:b@7+",
     "throttleTimeMs:i32@3+ topics[*name:s partitions[partitionIndex:i32 committedOffset:i64 "
     "committedLeaderEpoch:i32@5+ metadata:s errorCode:i16]]@0-7 errorCode:i16@2-7 groups[groupId:s topics[*name:s@8-9 "
     "*topicId:uuid@10+ partitions[partitionIndex:i32 committedOffset:i64 committedLeaderEpoch:i32 metadata:s "
     "errorCode:i16]] errorCode:i16]@8+"},
    {10, "FindCoordinator", 6, 3, true, "key:s@0-3 keyType:i8@1+ coordinatorKeys:[]s@4+",
     "throttleTimeMs:i32@1+ errorCode:i16@0-3 errorMessage:s@1-3 nodeId:i32@0-3 host:s@0-3 port:i32@0-3 "
     "coordinators[key:s nodeId:i32 host:s port:i32 errorCode:i16 errorMessage:s]@4+"},
    {11, "JoinGroup", 9, 6, true,
     "groupId:s sessionTimeoutMs:i32 rebalanceTimeoutMs:i32@1+ memberId:s groupInstanceId:s@5+ protocolType:s "
     "protocols[name:s metadata:sub] reason:s@8+",
     "throttleTimeMs:i32@2+ errorCode:i16 generationId:i32 protocolType:s@7+ protocolName:s leader:s "
     "skipAssignment:b@9+ memberId:s members[memberId:s groupInstanceId:s@5+ metadata:sub]"},
    {12, "Heartbeat", 4, 4, true, "groupId:s generationId:i32 memberId:s groupInstanceId:s@3+",
     "throttleTimeMs:i32@1+ errorCode:i16"},
    {13, "LeaveGroup", 5, 4, true, "groupId:s memberId:s@0-2 members[memberId:s groupInstanceId:s reason:s@5+]@3+",
     "throttleTimeMs:i32@1+ errorCode:i16 members[memberId:s groupInstanceId:s errorCode:i16]@3+"},
    {14, "SyncGroup", 5, 4, true,
     "groupId:s generationId:i32 memberId:s groupInstanceId:s@3+ protocolType:s@5+ protocolName:s@5+ "
     "assignments[memberId:s assignment:asg]",
     "throttleTimeMs:i32@1+ errorCode:i16 protocolType:s@5+ protocolName:s@5+ assignment:asg"},
    {15, "DescribeGroups", 6, 5, true, "groups:[]s includeAuthorizedOperations:b@3+",
     "throttleTimeMs:i32@1+ groups[errorCode:i16 errorMessage:s@6+ groupId:s groupState:s protocolType:s "
     "protocolData:s members[memberId:s groupInstanceId:s@4+ clientId:s clientHost:s memberMetadata:sub "
     "memberAssignment:asg] authorizedOperations:i32@3+]"},
    {16, "ListGroups", 5, 3, true, "statesFilter:[]s@4+ typesFilter:[]s@5+",
     "throttleTimeMs:i32@1+ errorCode:i16 groups[groupId:s protocolType:s groupState:s@4+ groupType:s@5+]"},
    {17, "SaslHandshake", 1, kNever, true, "mechanism:s", "errorCode:i16 mechanisms:[]s"},
    {18, "ApiVersions", 4, 3, true, "clientSoftwareName:s@3+ clientSoftwareVersion:s@3+",
     "errorCode:i16 apiKeys[apiKey:i16 minVersion:i16 maxVersion:i16] throttleTimeMs:i32@1+ supportedFeatures[name:s "
     "minVersion:i16 maxVersion:i16]@3+%0 finalizedFeaturesEpoch:i64@3+%1 finalizedFeatures[name:s maxVersionLevel:i16 "
     "minVersionLevel:i16]@3+%2 zkMigrationReady:b@3+%3"},
    {19, "CreateTopics", 7, 5, true,
     "topics[*name:s numPartitions:i32 replicationFactor:i16 assignments[partitionIndex:i32 brokerIds:[]i32] "
     "configs[name:s value:s]] timeoutMs:i32 validateOnly:b@1+",
     "throttleTimeMs:i32@2+ topics[*name:s topicId:uuid@7+ errorCode:i16 errorMessage:s@1+ "
     "topicConfigErrorCode:i16@5+%0 numPartitions:i32@5+ replicationFactor:i16@5+ configs[name:s value:s readOnly:b "
     "configSource:i8 isSensitive:b]@5+]"},
    {20, "DeleteTopics", 6, 4, true, "topics[*name:s topicId:uuid]@6+ topicNames:[]s@0-5 timeoutMs:i32",
     "throttleTimeMs:i32@1+ responses[*name:s topicId:uuid@6+ errorCode:i16 errorMessage:s@5+]"},
    {21, "DeleteRecords", 2, 2, true, "topics[*name:s partitions[partitionIndex:i32 offset:i64]] timeoutMs:i32",
     "throttleTimeMs:i32 topics[*name:s partitions[partitionIndex:i32 lowWatermark:i64 errorCode:i16]]"},
    {22, "InitProducerId", 5, 2, true,
     "transactionalId:s transactionTimeoutMs:i32 producerId:i64@3+ producerEpoch:i16@3+",
     "throttleTimeMs:i32 errorCode:i16 producerId:i64 producerEpoch:i16"},
    {23, "OffsetForLeaderEpoch", 4, 4, true,
     "replicaId:i32@3+ topics[*topic:s partitions[partition:i32 currentLeaderEpoch:i32@2+ leaderEpoch:i32]]",
     "throttleTimeMs:i32@2+ topics[*topic:s partitions[errorCode:i16 partition:i32 leaderEpoch:i32@1+ "
     "endOffset:i64]]"},
    {24, "AddPartitionsToTxn", 5, 3, true,
     "transactions[transactionalId:s producerId:i64 producerEpoch:i16 verifyOnly:b topics[*name:s "
     "partitions:[]i32]]@4+ v3AndBelowTransactionalId:s@0-3 v3AndBelowProducerId:i64@0-3 "
     "v3AndBelowProducerEpoch:i16@0-3 v3AndBelowTopics[*name:s partitions:[]i32]@0-3",
     "throttleTimeMs:i32 errorCode:i16@4+ resultsByTransaction[transactionalId:s topicResults[*name:s "
     "resultsByPartition[partitionIndex:i32 errorCode:i16]]]@4+ resultsByTopicV3AndBelow[*name:s "
     "resultsByPartition[partitionIndex:i32 errorCode:i16]]@0-3"},
    {25, "AddOffsetsToTxn", 4, 3, true, "transactionalId:s producerId:i64 producerEpoch:i16 groupId:s",
     "throttleTimeMs:i32 errorCode:i16"},
    {26, "EndTxn", 5, 3, true, "transactionalId:s producerId:i64 producerEpoch:i16 committed:b",
     "throttleTimeMs:i32 errorCode:i16 producerId:i64@5+ producerEpoch:i16@5+"},
    {27, "WriteTxnMarkers", 1, 1, true,
     "markers[producerId:i64 producerEpoch:i16 transactionResult:b topics[*name:s partitionIndexes:[]i32] "
     "coordinatorEpoch:i32]",
     "markers[producerId:i64 topics[*name:s partitions[partitionIndex:i32 errorCode:i16]]]"},
    {28, "TxnOffsetCommit", 5, 3, true,
     "transactionalId:s groupId:s producerId:i64 producerEpoch:i16 generationId:i32@3+ memberId:s@3+ "
     "groupInstanceId:s@3+ topics[*name:s partitions[partitionIndex:i32 committedOffset:i64 "
     "committedLeaderEpoch:i32@2+ committedMetadata:s]]",
     "throttleTimeMs:i32 topics[*name:s partitions[partitionIndex:i32 errorCode:i16]]"},
    {29, "DescribeAcls", 3, 2, true,
     "resourceTypeFilter:i8 resourceNameFilter:s patternTypeFilter:i8@1+ principalFilter:s hostFilter:s operation:i8 "
     "permissionType:i8",
     "throttleTimeMs:i32 errorCode:i16 errorMessage:s resources[resourceType:i8 resourceName:s patternType:i8@1+ "
     "acls[principal:s host:s operation:i8 permissionType:i8]]"},
    {30, "CreateAcls", 3, 2, true,
     "creations[resourceType:i8 resourceName:s resourcePatternType:i8@1+ principal:s host:s operation:i8 "
     "permissionType:i8]",
     "throttleTimeMs:i32 results[errorCode:i16 errorMessage:s]"},
    {31, "DeleteAcls", 3, 2, true,
     "filters[resourceTypeFilter:i8 resourceNameFilter:s patternTypeFilter:i8@1+ principalFilter:s hostFilter:s "
     "operation:i8 permissionType:i8]",
     "throttleTimeMs:i32 filterResults[errorCode:i16 errorMessage:s matchingAcls[errorCode:i16 errorMessage:s "
     "resourceType:i8 resourceName:s patternType:i8@1+ principal:s host:s operation:i8 permissionType:i8]]"},
    {32, "DescribeConfigs", 4, 4, true,
     "resources[resourceType:i8 resourceName:s configurationKeys:[]s] includeSynonyms:b@1+ includeDocumentation:b@3+",
     "throttleTimeMs:i32 results[errorCode:i16 errorMessage:s resourceType:i8 resourceName:s configs[name:s value:s "
     "readOnly:b isDefault:b@0 configSource:i8@1+ isSensitive:b synonyms[name:s value:s source:i8]@1+ configType:i8@3+ "
     "documentation:s@3+]]"},
    {33, "AlterConfigs", 2, 2, true, "resources[resourceType:i8 resourceName:s configs[name:s value:s]] validateOnly:b",
     "throttleTimeMs:i32 responses[errorCode:i16 errorMessage:s resourceType:i8 resourceName:s]"},
    {34, "AlterReplicaLogDirs", 2, 2, true, "dirs[path:s topics[*name:s partitions:[]i32]]",
     "throttleTimeMs:i32 results[*topicName:s partitions[partitionIndex:i32 errorCode:i16]]"},
    {35, "DescribeLogDirs", 4, 2, true, "topics[*topic:s partitions:[]i32]",
     "throttleTimeMs:i32 errorCode:i16@3+ results[errorCode:i16 logDir:s topics[*name:s partitions[partitionIndex:i32 "
     "partitionSize:i64 offsetLag:i64 isFutureKey:b]] totalBytes:i64@4+ usableBytes:i64@4+]"},
    {36, "SaslAuthenticate", 2, 2, true, "!authBytes:y",
     "errorCode:i16 errorMessage:s !authBytes:y sessionLifetimeMs:i64@1+"},
    {37, "CreatePartitions", 3, 2, true,
     "topics[*name:s count:i32 assignments[brokerIds:[]i32]] timeoutMs:i32 validateOnly:b",
     "throttleTimeMs:i32 results[*name:s errorCode:i16 errorMessage:s]"},
    {38, "CreateDelegationToken", 3, 2, true,
     "ownerPrincipalType:s@3+ ownerPrincipalName:s@3+ renewers[principalType:s principalName:s] maxLifetimeMs:i64",
     "errorCode:i16 principalType:s principalName:s tokenRequesterPrincipalType:s@3+ tokenRequesterPrincipalName:s@3+ "
     "issueTimestampMs:i64 expiryTimestampMs:i64 maxTimestampMs:i64 tokenId:s !hmac:y throttleTimeMs:i32"},
    {39, "RenewDelegationToken", 2, 2, true, "!hmac:y renewPeriodMs:i64",
     "errorCode:i16 expiryTimestampMs:i64 throttleTimeMs:i32"},
    {40, "ExpireDelegationToken", 2, 2, true, "!hmac:y expiryTimePeriodMs:i64",
     "errorCode:i16 expiryTimestampMs:i64 throttleTimeMs:i32"},
    {41, "DescribeDelegationToken", 3, 2, true, "owners[principalType:s principalName:s]",
     "errorCode:i16 tokens[principalType:s principalName:s tokenRequesterPrincipalType:s@3+ "
     "tokenRequesterPrincipalName:s@3+ issueTimestamp:i64 expiryTimestamp:i64 maxTimestamp:i64 tokenId:s !hmac:y "
     "renewers[principalType:s principalName:s]] throttleTimeMs:i32"},
    {42, "DeleteGroups", 2, 2, true, "groupsNames:[]s", "throttleTimeMs:i32 results[groupId:s errorCode:i16]"},
    {43, "ElectLeaders", 2, 2, true, "electionType:i8@1+ topicPartitions[*topic:s partitions:[]i32] timeoutMs:i32",
     "throttleTimeMs:i32 errorCode:i16@1+ replicaElectionResults[*topic:s partitionResult[partitionId:i32 "
     "errorCode:i16 errorMessage:s]]"},
    {44, "IncrementalAlterConfigs", 1, 1, true,
     "resources[resourceType:i8 resourceName:s configs[name:s configOperation:i8 value:s]] validateOnly:b",
     "throttleTimeMs:i32 responses[errorCode:i16 errorMessage:s resourceType:i8 resourceName:s]"},
    {45, "AlterPartitionReassignments", 1, 0, true,
     "timeoutMs:i32 allowReplicationFactorChange:b@1+ topics[*name:s partitions[partitionIndex:i32 replicas:[]i32]]",
     "throttleTimeMs:i32 allowReplicationFactorChange:b@1+ errorCode:i16 errorMessage:s responses[*name:s "
     "partitions[partitionIndex:i32 errorCode:i16 errorMessage:s]]"},
    {46, "ListPartitionReassignments", 0, 0, true, "timeoutMs:i32 topics[*name:s partitionIndexes:[]i32]",
     "throttleTimeMs:i32 errorCode:i16 errorMessage:s topics[*name:s partitions[partitionIndex:i32 replicas:[]i32 "
     "addingReplicas:[]i32 removingReplicas:[]i32]]"},
    {47, "OffsetDelete", 0, kNever, true, "groupId:s topics[*name:s partitions[partitionIndex:i32]]",
     "errorCode:i16 throttleTimeMs:i32 topics[*name:s partitions[partitionIndex:i32 errorCode:i16]]"},
    {48, "DescribeClientQuotas", 1, 1, true, "components[entityType:s matchType:i8 match:s] strict:b",
     "throttleTimeMs:i32 errorCode:i16 errorMessage:s entries[entity[entityType:s entityName:s] values[key:s "
     "value:f64]]"},
    {49, "AlterClientQuotas", 1, 1, true,
     "entries[entity[entityType:s entityName:s] ops[key:s value:f64 remove:b]] validateOnly:b",
     "throttleTimeMs:i32 entries[errorCode:i16 errorMessage:s entity[entityType:s entityName:s]]"},
    {50, "DescribeUserScramCredentials", 0, 0, true, "users[name:s]",
     "throttleTimeMs:i32 errorCode:i16 errorMessage:s results[user:s errorCode:i16 errorMessage:s "
     "credentialInfos[mechanism:i8 iterations:i32]]"},
    {51, "AlterUserScramCredentials", 0, 0, true,
     "deletions[name:s mechanism:i8] upsertions[name:s mechanism:i8 iterations:i32 !salt:y !saltedPassword:y]",
     "throttleTimeMs:i32 results[user:s errorCode:i16 errorMessage:s]"},
    {52, "Vote", 2, 0, false, "", ""},
    {53, "BeginQuorumEpoch", 1, 1, false, "", ""},
    {54, "EndQuorumEpoch", 1, 1, false, "", ""},
    {55, "DescribeQuorum", 2, 0, false, "", ""},
    {56, "AlterPartition", 3, 0, false, "", ""},
    {57, "UpdateFeatures", 2, 0, false, "", ""},
    {58, "Envelope", 0, 0, false, "", ""},
    {59, "FetchSnapshot", 1, 0, false, "", ""},
    {60, "DescribeCluster", 2, 0, true,
     "includeClusterAuthorizedOperations:b endpointType:i8@1+ includeFencedBrokers:b@2+",
     "throttleTimeMs:i32 errorCode:i16 errorMessage:s endpointType:i8@1+ clusterId:s controllerId:i32 "
     "brokers[brokerId:i32 host:s port:i32 rack:s isFenced:b@2+] clusterAuthorizedOperations:i32"},
    {61, "DescribeProducers", 0, 0, true, "topics[*name:s partitionIndexes:[]i32]",
     "throttleTimeMs:i32 topics[*name:s partitions[partitionIndex:i32 errorCode:i16 errorMessage:s "
     "activeProducers[producerId:i64 producerEpoch:i32 lastSequence:i32 lastTimestamp:i64 coordinatorEpoch:i32 "
     "currentTxnStartOffset:i64]]]"},
    {62, "BrokerRegistration", 4, 0, false, "", ""},
    {63, "BrokerHeartbeat", 1, 0, false, "", ""},
    {64, "UnregisterBroker", 0, 0, true, "brokerId:i32", "throttleTimeMs:i32 errorCode:i16 errorMessage:s"},
    {65, "DescribeTransactions", 0, 0, true, "transactionalIds:[]s",
     "throttleTimeMs:i32 transactionStates[errorCode:i16 transactionalId:s transactionState:s transactionTimeoutMs:i32 "
     "transactionStartTimeMs:i64 producerId:i64 producerEpoch:i16 topics[*topic:s partitions:[]i32]]"},
    {66, "ListTransactions", 1, 0, true, "stateFilters:[]s producerIdFilters:[]i64 durationFilter:i64@1+",
     "throttleTimeMs:i32 errorCode:i16 unknownStateFilters:[]s transactionStates[transactionalId:s producerId:i64 "
     "transactionState:s]"},
    {67, "AllocateProducerIds", 0, 0, false, "", ""},
    {68, "ConsumerGroupHeartbeat", 1, 0, true,
     "groupId:s memberId:s memberEpoch:i32 instanceId:s rackId:s rebalanceTimeoutMs:i32 subscribedTopicNames:[]s "
     "subscribedTopicRegex:s@1+ serverAssignor:s topicPartitions[topicId:uuid partitions:[]i32]",
     "throttleTimeMs:i32 errorCode:i16 errorMessage:s memberId:s memberEpoch:i32 heartbeatIntervalMs:i32"},
    {69, "ConsumerGroupDescribe", 1, 0, false, "", ""},
    {70, "ControllerRegistration", 0, 0, false, "", ""},
    {71, "GetTelemetrySubscriptions", 0, 0, true, "clientInstanceId:uuid",
     "throttleTimeMs:i32 errorCode:i16 clientInstanceId:uuid subscriptionId:i32 acceptedCompressionTypes:[]i8 "
     "pushIntervalMs:i32 telemetryMaxBytes:i32 deltaTemporality:b requestedMetrics:[]s"},
    {72, "PushTelemetry", 0, 0, true,
     "clientInstanceId:uuid subscriptionId:i32 terminating:b compressionType:i8 metrics:y",
     "throttleTimeMs:i32 errorCode:i16"},
    {73, "AssignReplicasToDirs", 0, 0, false, "", ""},
    {74, "ListConfigResources", 1, 0, false, "", ""},
    {75, "DescribeTopicPartitions", 0, 0, true,
     "topics[*name:s] responsePartitionLimit:i32 cursor(topicName:s partitionIndex:i32)",
     "throttleTimeMs:i32 topics[errorCode:i16 *name:s topicId:uuid isInternal:b partitions[errorCode:i16 "
     "partitionIndex:i32 leaderId:i32 leaderEpoch:i32 replicaNodes:[]i32 isrNodes:[]i32 eligibleLeaderReplicas:[]i32 "
     "lastKnownElr:[]i32 offlineReplicas:[]i32] topicAuthorizedOperations:i32] nextCursor(topicName:s "
     "partitionIndex:i32)"},
    {76, "ShareGroupHeartbeat", 1, 0, false, "", ""},
    {77, "ShareGroupDescribe", 1, 0, false, "", ""},
    {78, "ShareFetch", 1, 0, false, "", ""},
    {79, "ShareAcknowledge", 1, 0, false, "", ""},
    {80, "AddRaftVoter", 0, 0, false, "", ""},
    {81, "RemoveRaftVoter", 0, 0, false, "", ""},
    {82, "UpdateRaftVoter", 0, 0, false, "", ""},
    {83, "InitializeShareGroupState", 0, 0, false, "", ""},
    {84, "ReadShareGroupState", 0, 0, false, "", ""},
    {85, "WriteShareGroupState", 0, 0, false, "", ""},
    {86, "DeleteShareGroupState", 0, 0, false, "", ""},
    {87, "ReadShareGroupStateSummary", 0, 0, false, "", ""},
    {88, "StreamsGroupHeartbeat", 0, 0, false, "", ""},
    {89, "StreamsGroupDescribe", 0, 0, false, "", ""},
    {90, "DescribeShareGroupOffsets", 0, 0, false, "", ""},
    {91, "AlterShareGroupOffsets", 0, 0, false, "", ""},
    {92, "DeleteShareGroupOffsets", 0, 0, false, "", ""},
};

}  // namespace

std::span<const ApiText> api_texts() { return kTexts; }

// ConsumerProtocolSubscription.json and ConsumerProtocolAssignment.json of Kafka's clients.
const ApiText& consumer_protocol() {
  static constexpr ApiText kText = {
      -1,
      "consumer",
      3,
      kNever,
      true,
      "topics:[]s userData:y ownedPartitions[topic:s partitions:[]i32]@1+ generationId:i32@2+ rackId:s@3+",
      "assignedPartitions[topic:s partitions:[]i32] userData:y"};
  return kText;
}

}  // namespace baleen::dissect::kafka
