package import Authority
import Fleet
import FoundationEssentials
import Trust

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Darwin)
    import Darwin
#endif

/// What a gateway keeps on disk: `authority/` (its keys), `operator/` (credentials for people), `ledger.sqlite`, `address`.
package struct GatewayDirectory: Sendable {
    private static let operatorName = "admin"
    private static let operatorLife = Duration.seconds(365 * 86_400)

    package let path: String

    /// - Throws: `.invalid` when the directory is missing and cannot be made.
    package init(_ path: String) throws(GatewayError) {
        self.path = path
        do {
            try FileManager.default.createDirectory(
                atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw GatewayError(
                .invalid,
                "\(path) cannot be made (\(Self.reason(error))); give the gateway a directory of its own with --data")
        }
    }

    /// The directory of a fleet that may have to be founded in it: nothing is made for one whose name is none.
    /// - Throws: `AuthorityError` for the name, else as `init(_:)`.
    package init(_ path: String, founding fleet: String) throws {
        try CertificateAuthority.check(fleet: fleet)
        try self.init(path)
    }

    /// In the system's own words where it has some.
    private static func reason(_ error: any Error) -> String {
        let system = (error as? CocoaError)?.underlying as? POSIXError
        return system.map { String(cString: strerror($0.code.rawValue)) } ?? "its parent does not take it"
    }

    /// The directory of a fleet that is there.
    /// - Throws: `.notFound` where none is, rather than founding one by mistake.
    package init(existing path: String) throws(GatewayError) {
        self.path = path
        guard CertificateAuthority.exists(in: authorityPath) else {
            throw GatewayError(
                .notFound,
                "there is no fleet in \(path); name the gateway's --data, or make one with lighter-gateway init")
        }
    }

    package var ledgerPath: String { path + "/ledger.sqlite" }
    package var operatorPath: String { path + "/operator" }
    private var authorityPath: String { path + "/authority" }
    private var addressPath: String { path + "/address" }

    /// The fleet's authority, made at the first call, with fresh credentials for its operator. May be called at any time.
    ///
    /// - Parameter fleet: the name of a fleet that is made now; an existing one keeps its own.
    package func authority(fleet: String) throws -> CertificateAuthority {
        let authority: CertificateAuthority
        if CertificateAuthority.exists(in: authorityPath) {
            authority = try CertificateAuthority.load(from: authorityPath)
        } else {
            authority = try CertificateAuthority.create(fleet: fleet)
            try authority.save(to: authorityPath)
        }
        try refreshOperator(of: authority)
        return authority
    }

    /// The operator's credentials are made anew when a third of their life is left, or when they are not this fleet's.
    private func refreshOperator(of authority: CertificateAuthority) throws {
        if let known = try? Credentials.load(from: operatorPath), known.caPEM == authority.certificatePEM,
            known.expiresAt - Date().timeIntervalSince1970 > (known.expiresAt - known.notBefore) / 3
        {
            return
        }
        let identity = PeerIdentity(role: .operator(Self.operatorName), tenant: .main)
        try authority.credentials(for: identity, validFor: Self.operatorLife).save(to: operatorPath)
    }

    /// Where the gateway that uses this directory can be dialled from this machine; kept for `lighter-gateway token`.
    package var address: String? {
        guard let data = FileManager.default.contents(atPath: addressPath) else { return nil }
        let text = String(decoding: data, as: UTF8.self)
        return text.split(separator: "\n").first.map(String.init)
    }

    /// - Throws: `.unavailable` when the file cannot be written.
    package func record(address: String) throws(GatewayError) {
        do {
            try Data("\(address)\n".utf8).write(to: URL(filePath: addressPath), options: .atomic)
        } catch {
            throw GatewayError(.unavailable, "\(addressPath) cannot be written", cause: error)
        }
    }
}
