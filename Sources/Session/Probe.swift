import Fleet
import NIOCore
import NIOPosix

/// Looks what is at the addresses of a node that the gateway does not hear.
enum Probe {
    private static let patience = TimeAmount.seconds(2)

    /// The best that is found at any of the addresses, all tried at once; after two seconds, and the time to look names up.
    static func look(at addresses: [String], on loop: any EventLoop) async -> SecondOpinion.Finding {
        await withTaskGroup(of: SecondOpinion.Finding.self) { group in
            for text in addresses.prefix(8) {
                group.addTask {
                    guard let found = try? await Endpoint(text).resolve() else { return .silent }
                    var best = SecondOpinion.Finding.silent
                    for address in found.prefix(4) where best < .answers {
                        best = max(best, await look(at: address, on: loop))
                    }
                    return best
                }
            }
            var best = SecondOpinion.Finding.silent
            for await finding in group { best = max(best, finding) }
            return best
        }
    }

    private static func look(at address: SocketAddress, on loop: any EventLoop) async -> SecondOpinion.Finding {
        do {
            let channel = try await ClientBootstrap(group: loop).connectTimeout(patience).connect(to: address).get()
            channel.close(promise: nil)
            return .answers
        } catch {
            return isRefusal(error) ? .refuses : .silent
        }
    }

    private static func isRefusal(_ error: any Error) -> Bool {
        switch error {
        case let error as IOError: error.errnoCode == ECONNREFUSED
        case let error as NIOConnectionError: error.connectionErrors.contains { isRefusal($0.error) }
        default: false
        }
    }
}
