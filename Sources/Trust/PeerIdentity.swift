package import Fleet

/// Who a certificate says its holder is.
///
/// It stands in the certificate as its one URI name: `lighter://TENANT/gateway`, `lighter://TENANT/node/NAME` or
/// `lighter://TENANT/operator/NAME`. Nothing else is accepted, not even another spelling of the same.
package struct PeerIdentity: Sendable, Hashable, CustomStringConvertible {
    package enum Role: Sendable, Hashable {
        case gateway
        case node(NodeID)
        /// A person or program that may use the REST API and the command line; spelled as a node's name.
        case `operator`(String)
    }

    package var role: Role
    package var tenant: TenantID

    package init(role: Role, tenant: TenantID) {
        self.role = role
        self.tenant = tenant
    }

    /// - Throws: `malformedIdentity` when `uri` is not exactly what `uri` gives for some identity.
    package init(uri: String) throws(TrustError) {
        let scheme = "lighter://"
        guard uri.hasPrefix(scheme) else { throw Self.malformed(uri) }
        let parts = uri.dropFirst(scheme.count).split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first, let tenant = try? TenantID(String(first)) else { throw Self.malformed(uri) }
        self.tenant = tenant
        switch (parts.dropFirst().first, parts.count) {
        case ("gateway", 2):
            role = .gateway
        case ("node", 3):
            guard let name = try? NodeID(String(parts[2])) else { throw Self.malformed(uri) }
            role = .node(name)
        case ("operator", 3):
            guard let name = try? NodeID(String(parts[2])) else { throw Self.malformed(uri) }
            role = .operator(name.name)
        default:
            throw Self.malformed(uri)
        }
    }

    package var uri: String {
        switch role {
        case .gateway: "lighter://\(tenant)/gateway"
        case .node(let name): "lighter://\(tenant)/node/\(name)"
        case .operator(let name): "lighter://\(tenant)/operator/\(name)"
        }
    }

    /// The node's name; nil for a gateway or an operator.
    package var node: NodeID? {
        if case .node(let name) = role { name } else { nil }
    }

    package var isGateway: Bool { role == .gateway }

    package var description: String {
        switch role {
        case .gateway: "the gateway"
        case .node(let name): "node \(name)"
        case .operator(let name): "operator \(name)"
        }
    }

    private static func malformed(_ uri: String) -> TrustError {
        TrustError(
            .malformedIdentity,
            "a certificate names '\(uri.prefix(200))', no Lighter identity; join the fleet again with a new token"
        )
    }
}

extension PeerIdentity {
    /// Refuses a peer that is not the gateway: every node of a fleet has a certificate of the same authority, so a
    /// good chain alone does not say that one speaks with the gateway.
    ///
    /// - Throws: `noCertificate` for nil, `wrongPeer` for another role.
    package static func requireGateway(_ peer: PeerIdentity?) throws(TrustError) {
        guard let peer else {
            throw TrustError(.noCertificate, "the gateway showed no certificate; check the gateway's address")
        }
        guard peer.isGateway else {
            throw TrustError(
                .wrongPeer, "the gateway's address is answered by \(peer), not by a gateway; check the address")
        }
    }

    /// Refuses a peer that is not the node wanted.
    ///
    /// - Throws: `noCertificate` for nil, `wrongPeer` for another.
    package static func require(node: NodeID, _ peer: PeerIdentity?) throws(TrustError) {
        guard let peer else { throw TrustError(.noCertificate, "node \(node) showed no certificate") }
        guard peer.role == .node(node) else {
            throw TrustError(
                .wrongPeer, "the address of node \(node) is answered by \(peer); is its address still its own?")
        }
    }
}
