import NIOCore

extension StreamChannel {
    /// `autoRead`, `allowRemoteHalfClosure` and `writeBufferWaterMark`; on the event loop only.
    struct Options: NIOSynchronousChannelOptions {
        let channel: StreamChannel

        func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
            channel.eventLoop.preconditionInEventLoop()
            switch (option, value) {
            case (_ as ChannelOptions.Types.AutoReadOption, let value as Bool):
                channel.autoRead = value
                if value, channel.phase == .active { channel.pipeline.syncOperations.read() }
            case (_ as ChannelOptions.Types.AllowRemoteHalfClosureOption, let value as Bool):
                channel.allowRemoteHalfClosure = value
            case (
                _ as ChannelOptions.Types.WriteBufferWaterMarkOption,
                let value as ChannelOptions.Types.WriteBufferWaterMark
            ):
                channel.output.waterMark = value
            default:
                throw ChannelError.operationUnsupported
            }
        }

        func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
            channel.eventLoop.preconditionInEventLoop()
            let value: Any? =
                switch option {
                case _ as ChannelOptions.Types.AutoReadOption: channel.autoRead
                case _ as ChannelOptions.Types.AllowRemoteHalfClosureOption: channel.allowRemoteHalfClosure
                case _ as ChannelOptions.Types.WriteBufferWaterMarkOption: channel.output.waterMark
                case _ as ChannelOptions.Types.BufferedWritableBytesOption: channel.output.bytes
                default: nil
                }
            guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
            return value
        }
    }

    var syncOptions: (any NIOSynchronousChannelOptions)? { Options(channel: self) }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        if eventLoop.inEventLoop {
            return eventLoop.makeCompletedFuture { try Options(channel: self).setOption(option, value: value) }
        }
        return eventLoop.submit { try Options(channel: self).setOption(option, value: value) }
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        if eventLoop.inEventLoop {
            return eventLoop.makeCompletedFuture { try Options(channel: self).getOption(option) }
        }
        return eventLoop.submit { try Options(channel: self).getOption(option) }
    }
}
