# Version control: commits, a merge, repacking by threads, clones over a file, a pipe and a socket.
export HOME=/tmp/git GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
mkdir $HOME
cd $HOME
git init -q -b main origin
cd origin
for n in $(seq 20); do
  seq "$n" 400 >"file$n"
  git add .
  git commit -q -m "commit $n"
done
git switch -q -c side HEAD~5
echo side >side
git add side
git commit -q -m side
git switch -q main
git merge -q -m merge side
git gc -q --aggressive
git fsck --strict
cd ..
git clone -q origin hardlinked
git clone -q "file://$HOME/origin" piped
git daemon --base-path=$HOME --export-all --listen=127.0.0.1 --reuseaddr &
await git ls-remote git://127.0.0.1/origin
git clone -q git://127.0.0.1/origin served
git -C served log --oneline | grep -c commit | grep -x 20
git -C served worktree add -q ../tree HEAD~1
git -C served archive HEAD | tar -t | grep -x side
kill %1
works
