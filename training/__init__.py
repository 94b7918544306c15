"""mocktrial.training"""
