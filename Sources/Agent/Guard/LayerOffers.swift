import Engine
import Fleet
import Images

/// Layers that this node has promised to others, each by a word that only who asked for it knows.
///
/// A promise is to one node, as its certificate names it: the word is worth nothing to anybody else. None outlives the daemon.
@NodeLoop
final class LayerOffers {
    nonisolated struct Offer: Sendable, Hashable {
        /// Whose image it is.
        var origin: NodeID
        var receiver: NodeID
        var image: LayerDigest
        /// Chain ids.
        var layers: Set<LayerDigest>
        var expires: Double
        /// How often the receiver may come: again after a cut.
        var uses = 4
    }

    /// Seconds in which the receiver has to come.
    static let lifetime = 600.0
    /// Promises that one node may have asked for; the oldest is forgotten.
    static let limitPerOrigin = 64
    static let limit = 1024

    private var offers: [String: Offer] = [:]

    nonisolated init() {}

    /// - Returns: the word for it; nil where there are too many.
    func add(_ offer: Offer, at now: Double) -> String? {
        offers = offers.filter { $0.value.expires > now && $0.value.uses > 0 }
        let own = offers.filter { $0.value.origin == offer.origin }
        if own.count >= Self.limitPerOrigin, let oldest = own.min(by: { $0.value.expires < $1.value.expires })?.key {
            offers[oldest] = nil
        }
        guard offers.count < Self.limit else { return nil }
        let word = Self.draw()
        offers[word] = offer
        return word
    }

    /// What was promised to this node by that word; nil where nothing is.
    func use(_ word: String, by receiver: NodeID, at now: Double) -> Offer? {
        guard let offer = offers[word], offer.receiver == receiver, offer.expires > now, offer.uses > 0 else {
            return nil
        }
        offers[word]?.uses -= 1
        return offer
    }

    /// 256 bits of the system's randomness.
    private static func draw() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let digits = String(generator.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }
}
