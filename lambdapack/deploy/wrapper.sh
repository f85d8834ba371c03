#!/bin/sh
# The exec wrapper of a lambdapack layer: the function's handler runs once the pack is on its way, and its code
# stays as it is.
# https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html
here=${0%/*}
if [ "$_HANDLER" != runtime_shim.handler ]; then
    export LAMBDAPACK_HANDLER="$_HANDLER"
    export _HANDLER=runtime_shim.handler
fi
# Only where PYTHONPATH is not set does the runtime add this folder by itself.
if [ -n "${PYTHONPATH+set}" ]; then
    export PYTHONPATH="$here/python${PYTHONPATH:+:$PYTHONPATH}"
fi
exec "$@"
