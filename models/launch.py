"""`accelerate launch -m` as a child of a flow: the same command, which goes when its parent goes."""

from accelerate.commands import launch

from models.termination import die_with_parent

if __name__ == "__main__":
    die_with_parent()
    launch.main()
