from tykky import PipStack


class Hyperqueue(PipStack):
    """Many small tasks inside of few jobs of the batch system.

    HyperQueue: 'hq server start' on a login node, then 'hq alloc add slurm', or workers that you
    start in jobs of your own.
    """

    homepage = "https://it4innovations.github.io/hyperqueue"
    license = "MIT"
    versions = "0.27"
    python = "3.11"
    commands = "hq", "python*", "pip*"
    keywords = "workflow", "task farming", "Slurm"

    @property
    def packages(self):
        yield f"hyperqueue=={self.version}.*"

    def test(self, box):
        box.run(
            r"""
            export HQ_SERVER_DIR=$PWD/server
            hq server start --host localhost > server.log 2>&1 &
            until hq server info > info 2>&1; do sleep 0.2; done
            hq worker start --cpus 2 > worker.log 2>&1 &
            hq submit --array 1-4 --wait -- sh -c 'echo $HQ_TASK_ID > task-$HQ_TASK_ID'
            hq server stop
            wait
            sort task-* | paste -s -d ' ' | grep -x '1 2 3 4'
            """,
            say="four tasks by a server and a worker",
        )
