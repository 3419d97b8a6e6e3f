package import Fleet
package import Trust

/// On whose behalf a stream speaks.
package struct CallScope: Sendable, Hashable {
    /// By the peer's certificate.
    package let origin: NodeID
    package let tenant: TenantID
    /// By the gateway's signature; nil for calls that concern the tenant only.
    package let ticket: Ticket?

    package init(origin: NodeID, tenant: TenantID, ticket: Ticket?) {
        self.origin = origin
        self.tenant = tenant
        self.ticket = ticket
    }
}
