package import Fleet
package import Foundation

/// One thing that a ledger keeps, whatever it stores in: what ledgers are exported as, one to a line.
package enum LedgerRecord: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        case workload, decision, node, member, token, duration, setting
    }

    /// What no two records of a ledger share.
    package struct Key: Sendable, Hashable {
        package var kind: Kind
        package var name: String

        package init(_ kind: Kind, _ name: String) {
            self.kind = kind
            self.name = name
        }
    }

    /// Without its decision, which is a record of its own.
    case workload(KeptWorkload)
    case decision(Decision)
    case node(Node)
    case member(KeptMember)
    case token(KeptToken)
    case duration(KeptDuration)
    case setting(KeptSetting)

    package struct KeptWorkload: Sendable, Hashable, Codable {
        package var workload: Workload
        /// Seconds since 1970, by the gateway's clock.
        package var changedAt: Double

        package init(_ workload: Workload, changedAt: Double) {
            self.workload = workload
            self.workload.decision = nil
            self.changedAt = changedAt
            self.workload.createdAt = LedgerRules.known(workload.createdAt)
            self.workload.startedAt = LedgerRules.known(workload.startedAt)
            self.workload.finishedAt = LedgerRules.known(workload.finishedAt)
            self.workload.resources.cpus = LedgerRules.known(workload.resources.cpus)
        }
    }

    /// A name that was given to a node that joined.
    package struct KeptMember: Sendable, Hashable, Codable {
        package var name: String
        package var tenant: TenantID
        package var token: String
        package var joinedAt: Double

        package init(name: String, tenant: TenantID, token: String, joinedAt: Double) {
            self.name = name
            self.tenant = tenant
            self.token = token
            self.joinedAt = joinedAt
        }
    }

    package struct KeptToken: Sendable, Hashable, Codable {
        package var token: StoredToken
        package var usedAt: Double?
        package var usedBy: String?

        package init(_ token: StoredToken, usedAt: Double? = nil, usedBy: String? = nil) {
            self.token = token
            self.usedAt = usedAt
            self.usedBy = usedBy
        }
    }

    package struct KeptDuration: Sendable, Hashable, Codable {
        package var workKey: String
        package var estimate: WorkEstimate
        package var changedAt: Double

        package init(workKey: String, estimate: WorkEstimate, changedAt: Double) {
            self.workKey = workKey
            self.estimate = estimate
            self.changedAt = changedAt
        }
    }

    package struct KeptSetting: Sendable, Hashable, Codable {
        package var key: String
        package var value: String

        package init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    package var key: Key {
        switch self {
        case .workload(let kept): Key(.workload, kept.workload.id.hex)
        case .decision(let decision): Key(.decision, decision.workload.hex)
        case .node(let node): Key(.node, node.id.name)
        case .member(let member): Key(.member, member.name)
        case .token(let kept): Key(.token, kept.token.id)
        case .duration(let kept): Key(.duration, kept.workKey)
        case .setting(let setting): Key(.setting, setting.key)
        }
    }
}

// MARK: - As JSON

extension LedgerRecord {
    /// The record alone, for a store whose key tells the kind.
    package func encoded() throws -> Data {
        switch self {
        case .workload(let kept): try LedgerJSON.encode(kept)
        case .decision(let decision): try LedgerJSON.encode(decision)
        case .node(let node): try LedgerJSON.encode(node)
        case .member(let member): try LedgerJSON.encode(member)
        case .token(let kept): try LedgerJSON.encode(kept)
        case .duration(let kept): try LedgerJSON.encode(kept)
        case .setting(let setting): try LedgerJSON.encode(setting)
        }
    }

    package init(_ kind: Kind, from data: Data) throws {
        switch kind {
        case .workload: self = .workload(try LedgerJSON.decode(KeptWorkload.self, from: data))
        case .decision: self = .decision(try LedgerJSON.decode(Decision.self, from: data))
        case .node: self = .node(try LedgerJSON.decode(Node.self, from: data))
        case .member: self = .member(try LedgerJSON.decode(KeptMember.self, from: data))
        case .token: self = .token(try LedgerJSON.decode(KeptToken.self, from: data))
        case .duration: self = .duration(try LedgerJSON.decode(KeptDuration.self, from: data))
        case .setting: self = .setting(try LedgerJSON.decode(KeptSetting.self, from: data))
        }
    }
}

extension LedgerRecord: Codable {
    private enum Field: String, CodingKey { case kind, record }

    package init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: Field.self)
        switch try fields.decode(Kind.self, forKey: .kind) {
        case .workload: self = .workload(try fields.decode(KeptWorkload.self, forKey: .record))
        case .decision: self = .decision(try fields.decode(Decision.self, forKey: .record))
        case .node: self = .node(try fields.decode(Node.self, forKey: .record))
        case .member: self = .member(try fields.decode(KeptMember.self, forKey: .record))
        case .token: self = .token(try fields.decode(KeptToken.self, forKey: .record))
        case .duration: self = .duration(try fields.decode(KeptDuration.self, forKey: .record))
        case .setting: self = .setting(try fields.decode(KeptSetting.self, forKey: .record))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var fields = encoder.container(keyedBy: Field.self)
        try fields.encode(key.kind, forKey: .kind)
        switch self {
        case .workload(let kept): try fields.encode(kept, forKey: .record)
        case .decision(let decision): try fields.encode(decision, forKey: .record)
        case .node(let node): try fields.encode(node, forKey: .record)
        case .member(let member): try fields.encode(member, forKey: .record)
        case .token(let kept): try fields.encode(kept, forKey: .record)
        case .duration(let kept): try fields.encode(kept, forKey: .record)
        case .setting(let setting): try fields.encode(setting, forKey: .record)
        }
    }
}
