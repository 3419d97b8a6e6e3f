import Images

/// Which images a node gives up, so that what Lighter brought stays within its bound. Pure.
///
/// Room is counted by layer: one that another image has too is not given back with the first of them, and one that the
/// owner's images have takes no room that is Lighter's.
struct EvictionPlan {
    struct Image {
        var id: LayerDigest
        /// Chain ids of its layers.
        var layers: Set<LayerDigest>
        /// Seconds since 1970; nil for what Lighter did not bring.
        var usedAt: Double?
        /// Whether it may be given up at all.
        var mayGo = false
    }

    /// Part of the bound that is left free once it has been passed, so that not every image that comes passes it again.
    private static let reserve: Int64 = 10

    /// All of the engine's.
    var images: [Image]
    /// Of each layer; one of unknown size counts nothing.
    var sizes: [LayerDigest: Int64]

    /// What would not be here without Lighter.
    var held: Int64 { bytes(of: images.filter { $0.usedAt != nil }) }

    /// What some of the images take, apart from what the owner's images have as well.
    func bytes(of some: [Image]) -> Int64 {
        let owned = images.filter { $0.usedAt == nil }.reduce(into: Set<LayerDigest>()) { $0.formUnion($1.layers) }
        let layers = some.reduce(into: Set<LayerDigest>()) { $0.formUnion($1.layers) }
        return layers.subtracting(owned).reduce(0) { $0 + (sizes[$1] ?? 0) }
    }

    /// - Parameters:
    ///   - bound: bytes that Lighter's images may take; nil for as many as there are.
    ///   - shortage: bytes by which the disk is too full.
    /// - Returns: images to remove, the least recently used first; those that would give nothing back are left out.
    func evictions(bound: Int64?, shortage: Int64) -> [LayerDigest] {
        let held = held
        let excess = bound.map { held > $0 ? held - $0 + $0 / Self.reserve : 0 } ?? 0
        let wanted = max(excess, shortage)
        guard wanted > 0 else { return [] }
        var users: [LayerDigest: Int] = [:]
        for image in images { for layer in image.layers { users[layer, default: 0] += 1 } }
        var freed: Int64 = 0
        var going: [Image] = []
        for image in images.filter(\.mayGo).sorted(by: { ($0.usedAt ?? 0, $0.id.hex) < ($1.usedAt ?? 0, $1.id.hex) })
        where freed < wanted {
            for layer in image.layers {
                users[layer, default: 0] -= 1
                if users[layer] == 0 { freed += sizes[layer] ?? 0 }
            }
            going.append(image)
        }
        // What others hold wholly would be removed for nothing.
        let useful = going.reversed().filter { image in
            let gives = image.layers.contains { users[$0] == 0 && sizes[$0] ?? 0 > 0 }
            if !gives { for layer in image.layers { users[layer, default: 0] += 1 } }
            return gives
        }
        return useful.reversed().map(\.id)
    }
}
