/// What a request asks of the Docker API. A method that the API does not know for a path makes it `.other`.
package enum DockerRoute: Sendable, Hashable {
    /// `GET` or `HEAD /_ping`.
    case ping
    case version
    case info
    case events
    /// `GET /system/df`.
    case diskUsage
    /// `POST /auth`.
    case auth

    case containerList
    case containerCreate(name: String?)
    case containerPrune
    /// One container, by id, prefix of an id, or name.
    ///
    /// Actions: `""` (DELETE), `json`, `top`, `logs`, `changes`, `export`, `stats`, `resize`, `start`, `stop`, `restart`,
    /// `kill`, `update`, `rename`, `pause`, `unpause`, `attach`, `attach/ws`, `wait`, `archive` (GET, HEAD, PUT), `exec`, `checkpoints` (all of
    /// them, or one).
    case container(ref: String, action: String)
    /// An exec instance; actions `start`, `resize`, `json`.
    case exec(id: String, action: String)

    case imageList
    /// `POST /images/create`: pull, or import.
    case imageCreate
    case imageLoad
    /// `GET /images/get?names=…`; one image is `image(ref, "get")`.
    case imageSave
    case imageSearch
    case imagePrune
    /// One image; actions `""` (DELETE), `json`, `history`, `push`, `tag`, `get`.
    case image(ref: String, action: String)
    /// `GET /distribution/NAME/json`.
    case distribution(ref: String)
    case build
    case buildPrune
    case buildCancel
    case commit
    /// BuildKit's raw pipes.
    case session
    case grpc

    case volumeList
    case volumeCreate
    case volumePrune
    /// GET, PUT or DELETE of one volume.
    case volume(name: String)

    case networkList
    case networkCreate
    case networkPrune
    /// Actions: `""` (GET, DELETE), `connect`, `disconnect`.
    case network(ref: String, action: String)

    /// Anything under `/plugins`.
    case plugins
    /// Anything under `/swarm`, `/nodes`, `/services`, `/tasks`, `/secrets`, `/configs`.
    case swarm
    /// `POST /lighter/layers`, which no engine knows: a node asks another's guard which layers of an image are missing there.
    case missingLayers
    /// `POST /lighter/held`: a node asks another's guard what it has of images.
    case heldImages
    /// `POST /lighter/pin`: a client asks a front door, or a node another's guard, to keep an image or to let it go.
    case imagePin
    /// `POST /lighter/move`: a client asks a front door to have a container run at another node.
    case containerMove
    /// `GET /lighter/images`: a front door tells which nodes have which images.
    case imageHoldings
    /// `GET /lighter/mounts`: a front door tells how far its mounts are.
    case mountStates
    /// `GET /lighter/node`: a front door tells of its node and its gateway.
    case nodeState
    /// `POST /lighter/image`: a node asks another's guard for an image without the layers that it has.
    case sparseImage
    /// `POST /lighter/offer`: a node has another's guard promise layers of its own images to a third.
    case layerOffer
    /// `POST /lighter/fetch`: a node has another's guard get what it was promised.
    case layerFetch
    /// `POST /lighter/give`: a node's guard gets from another's what that has promised.
    case layerGift
    /// `POST /lighter/layer`: a node has another's guard put a moved container's writable layer into place.
    case layerPlace
    /// `POST /lighter/chunks`: which chunks of a build's context another node lacks.
    case missingChunks
    case other
}
