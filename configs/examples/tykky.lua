-- A modulefile for Tykky itself, so that users type `module load tykky`.
--
-- Copy it as tykky/<version>.lua into a directory of your MODULEPATH and correct this line:
-- `tykky doctor` shows the path in its line about setup-env.sh.
local share = "/appl/tykky/lib/python3.11/site-packages/tykky/data/share"

help([[Tykky installs software stacks, one image each.
`tykky -h` lists its commands; `tykky activate NAME` puts a stack's commands on PATH.]])
whatis("Name: tykky")
whatis("Description: installs software stacks, one image each")

prepend_path("PATH", pathJoin(share, "bin"))
-- Where there is no MANPATH, `man` finds the pages by PATH; with one, it would find nothing else.
if (os.getenv("MANPATH") or "") ~= "" then prepend_path("MANPATH", pathJoin(share, "man")) end
-- Activation changes the shell that calls it, and completion belongs to it: both are functions.
execute { cmd = ". '" .. pathJoin(share, "setup-env.sh") .. "'", modeA = { "load" } }
execute { cmd = "unset -f tykky __tykky_activate __tykky_deactivate __tykky_get_env_path", modeA = { "unload" } }
