/// The calls that a session of BuildKit's client answers, whose names are long and nearly always the same.
package enum SessionMethods {
    /// By which an engine is told of one.
    package static let field = "X-Docker-Expose-Session-Grpc-Method"
    /// By which a node that packs sessions is told of those that are known, as numbers.
    package static let header = "X-Lighter-Methods"

    /// New ones come last: numbers keep their meaning.
    private static let known = [
        "/moby.filesync.v1.FileSync/DiffCopy", "/moby.filesync.v1.FileSync/TarStream",
        "/moby.filesync.v1.FileSend/DiffCopy", "/moby.filesync.v1.Auth/VerifyTokenAuthority",
        "/moby.filesync.v1.Auth/Credentials", "/moby.filesync.v1.Auth/FetchToken",
        "/moby.filesync.v1.Auth/GetTokenAuthority", "/moby.buildkit.secrets.v1.Secrets/GetSecret",
        "/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent",
        "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List",
        "/moby.upload.v1.Upload/Pull", "/moby.filesync.v1.Source/Load",
    ]

    /// - Returns: numbers of those that have one, nil where none has, and the others.
    package static func shortened(_ methods: [String]) -> (numbers: String?, others: [String]) {
        let numbers = methods.compactMap { known.firstIndex(of: $0).map(String.init) }
        return (numbers.isEmpty ? nil : numbers.joined(separator: ","), methods.filter { !known.contains($0) })
    }

    /// What numbers mean; nil where one of them is none.
    package static func named(_ numbers: String) -> [String]? {
        let words = numbers.split(separator: ",", omittingEmptySubsequences: false)
        let found = words.compactMap { Int($0) }.filter(known.indices.contains).map { known[$0] }
        return found.count == words.count && found.count <= known.count ? found : nil
    }
}
