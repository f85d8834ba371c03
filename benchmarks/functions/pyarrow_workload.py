"""A frame of pandas through a Parquet file in memory."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


def handler(event, context):
    table = pa.Table.from_pandas(pd.DataFrame({"a": [1, 2, 3]}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return pq.read_table(pa.BufferReader(sink.getvalue())).to_pandas()["a"].sum().item()
