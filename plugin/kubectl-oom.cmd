@echo off
python "%~dp0kubectl-oom" %*
